"""One simulated engine: what its times and limits follow from."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from er.config import (
    Config,
    Correction,
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
MEASURED = {
    Quantization.fp16: Precision.fp16,
    Quantization.bf16: Precision.fp16,
    Quantization.int8_weight_only: Precision.int8,
    Quantization.fp8: Precision.fp8,
}


class Bound(Enum):
    """Which times matrix products take: those of the table, or a bound of them."""

    none = "none"
    roofline = "roofline"  # as fast as memory and tensor cores allow
    fp16 = "fp16"  # as slow as with weights in 16 bits


@dataclass(frozen=True)
class EngineSpec:
    """A model in a precision on `tp` GPUs of a node type, and how the engine is set."""

    model: Model
    precision: Precision
    tp: int
    hardware: Hardware
    engine: SimulatedEngine
    bound: Bound = Bound.none

    @property
    def name(self) -> str:
        """Which kernel times it needs, as the tables in `data/` call it."""
        return f"{self.model.name}/{self.precision.value}/tp{self.tp}"

    @property
    def attention_name(self) -> str:
        """The same of attention, which depends on the precision of the KV cache."""
        return f"{self.model.name}/{self.engine.kv_cache_precision.value}/tp{self.tp}"


def spec_of(config: Config) -> EngineSpec:
    """The engine of a deployment; all its experts are alike.

    Raises ConfigError when the engine can neither be simulated nor predicted.
    """
    deployment = config.deployment
    engine, precision = simulated(config.engine, deployment.precision)
    return EngineSpec(deployment.model, precision, deployment.tp, config.hardware, engine)


def simulated(engine: Engine, precision: Precision) -> tuple[SimulatedEngine, Precision]:
    """The simulated engine with the limits of a real one, and the precision of its weights.

    Raises ConfigError when no step times were measured for its weights.
    """
    if isinstance(engine, SimulatedEngine):
        return engine, precision
    if not isinstance(engine, ContainerEngine):
        raise ConfigError(f"no step times are known for engine.kind {engine.kind}")
    weights = weights_of(engine, precision)
    if weights not in MEASURED:
        raise ConfigError(
            f"no step times are known for engine.kind {engine.kind} with {weights.value} weights"
        )
    played = SimulatedEngine(
        kind="simulated",
        max_batch_size=engine.max_batch_size,
        max_num_tokens=engine.max_num_tokens,
        max_seq_len=engine.max_seq_len,
        tokens_per_block=engine.tokens_per_block,
        kv_cache_free_gpu_mem_fraction=engine.kv_cache_free_gpu_mem_fraction,
        activation_bytes=engine.activation_bytes,
        correction=engine.correction,
    )
    return played, MEASURED[weights]


def to_json(spec: EngineSpec) -> str:
    """The specification as text, for another process."""
    return json.dumps(asdict(spec), default=lambda choice: choice.value)


def from_json(text: str) -> EngineSpec:
    """What `to_json` wrote."""
    given = json.loads(text)
    return EngineSpec(
        Model(**given["model"]),
        Precision(given["precision"]),
        given["tp"],
        Hardware(**given["hardware"]),
        SimulatedEngine(**settings_of(given["engine"])),
        Bound(given["bound"]),
    )


def settings_of(engine: dict[str, Any]) -> dict[str, Any]:
    """The settings of a simulated engine from JSON, whole or in part."""
    kinds: dict[str, Callable[[Any], Any]] = {
        "scheduler_policy": SchedulerPolicy,
        "kv_cache_precision": Precision,
        "correction": lambda values: Correction(**values),
    }
    return {name: kinds.get(name, lambda v: v)(value) for name, value in engine.items()}
