"""The classes of a group whose options differ in their keys, by `kind`."""

from er.config import (
    FastGateway,
    Gateway,
    LaptopCluster,
    SimulatedEngine,
    SlurmCluster,
    SmolLM2Engine,
    workload,
)
from er.config.trtllm import LlmapiEngine, TrtllmEngine

ENGINES = {
    "simulated": SimulatedEngine,
    "smollm2": SmolLM2Engine,
    "trtllm": TrtllmEngine,
    "llmapi": LlmapiEngine,
}
GATEWAYS = {"fast": FastGateway, "aiohttp": Gateway, "sklearn": Gateway}
WORKLOADS = {
    "table": workload.TableWorkload,
    "fixed": workload.FixedWorkload,
    "uniform": workload.UniformWorkload,
    "lognormal": workload.LognormalWorkload,
    "jsonl": workload.JsonlWorkload,
    "shared_prefix": workload.SharedPrefixWorkload,
    "multi_turn": workload.MultiTurnWorkload,
}
CLUSTERS = {"laptop": LaptopCluster, "slurm": SlurmCluster}
KINDS: dict[str, dict[str, type]] = {
    "engine": {**ENGINES},
    "gateway": {**GATEWAYS},
    "workload": {**WORKLOADS},
    "cluster": {**CLUSTERS},
}
