"""One simulated engine: what its times and limits follow from."""

import json
from dataclasses import asdict, dataclass

from er.config import (
    Config,
    Engine,
    Hardware,
    Model,
    Precision,
    SchedulerPolicy,
    SimulatedEngine,
)
from er.config.trtllm import ContainerEngine, Quantization, weights_of
from er.errors import ConfigError

# bfloat16 takes the times of float16.
MEASURED = (
    Quantization.fp16,
    Quantization.bf16,
    Quantization.int8_weight_only,
)


@dataclass(frozen=True)
class EngineSpec:
    """A model in a precision on `tp` GPUs of a node type, and how the engine is set."""

    model: Model
    precision: Precision
    tp: int
    hardware: Hardware
    engine: SimulatedEngine

    @property
    def name(self) -> str:
        """Which kernel times it needs, as the tables in `data/` call it."""
        return f"{self.model.name}/{self.precision.value}/tp{self.tp}"


def spec_of(config: Config) -> EngineSpec:
    """The engine of a deployment; all its experts are alike.

    Raises ConfigError when the engine can neither be simulated nor predicted.
    """
    deployment = config.deployment
    engine = simulated(config.engine, deployment.precision)
    return EngineSpec(
        deployment.model, deployment.precision, deployment.tp, config.hardware, engine
    )


def simulated(engine: Engine, precision: Precision) -> SimulatedEngine:
    """The simulated engine with the limits of a real one.

    Raises ConfigError when no step times were measured for its weights.
    """
    if isinstance(engine, SimulatedEngine):
        return engine
    if not isinstance(engine, ContainerEngine):
        raise ConfigError(f"no step times are known for engine.kind {engine.kind}")
    weights = weights_of(engine, precision)
    if weights not in MEASURED:
        raise ConfigError(
            f"no step times are known for engine.kind {engine.kind} with {weights.value} weights"
        )
    return SimulatedEngine(
        kind="simulated",
        max_batch_size=engine.max_batch_size,
        max_num_tokens=engine.max_num_tokens,
        max_seq_len=engine.max_seq_len,
        tokens_per_block=engine.tokens_per_block,
        kv_cache_free_gpu_mem_fraction=engine.kv_cache_free_gpu_mem_fraction,
        activation_bytes=engine.activation_bytes,
        step_time_scale=engine.step_time_scale,
        host_overhead_s=engine.host_overhead_s,
    )


def to_json(spec: EngineSpec) -> str:
    """The specification as text, for another process."""
    return json.dumps(asdict(spec), default=lambda choice: choice.value)


def from_json(text: str) -> EngineSpec:
    """What `to_json` wrote."""
    given = json.loads(text)
    given["engine"]["scheduler_policy"] = SchedulerPolicy(given["engine"]["scheduler_policy"])
    return EngineSpec(
        Model(**given["model"]),
        Precision(given["precision"]),
        given["tp"],
        Hardware(**given["hardware"]),
        SimulatedEngine(**given["engine"]),
    )
