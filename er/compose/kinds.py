"""Groups whose options have different keys: the schema class of each `kind`."""

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

KINDS: dict[str, dict[str, type]] = {
    "engine": {
        "simulated": SimulatedEngine,
        "smollm2": SmolLM2Engine,
        "trtllm": TrtllmEngine,
        "llmapi": LlmapiEngine,
    },
    "gateway": {"fast": FastGateway, "aiohttp": Gateway, "sklearn": Gateway},
    "workload": {
        "table": workload.TableWorkload,
        "fixed": workload.FixedWorkload,
        "uniform": workload.UniformWorkload,
        "lognormal": workload.LognormalWorkload,
        "jsonl": workload.JsonlWorkload,
        "shared_prefix": workload.SharedPrefixWorkload,
        "multi_turn": workload.MultiTurnWorkload,
    },
    "cluster": {"laptop": LaptopCluster, "slurm": SlurmCluster},
}
