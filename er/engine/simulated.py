"""A deployment of simulated TensorRT-LLM engines, one for each expert."""

import json
from dataclasses import asdict
from pathlib import Path

from er.config import Config, SimulatedEngine
from er.errors import ConfigError
from er.results import ServedModel
from er.simulation.batching import Limits
from er.simulation.cost import StepCost, step_cost
from er.simulation.memory import kv_blocks

UNBATCHED = 0  # Triton must not batch: the engine batches in flight


def models(config: Config) -> list[ServedModel]:
    """One model for each expert. Raises ConfigError when the deployment does not fit its GPUs or
    nothing was measured for it."""
    parameters = {
        "limits": json.dumps(asdict(limits_of(config))),
        "cost": json.dumps(asdict(cost_of(config))),
        "cache_dir": str(Path(config.cache_dir).resolve()),
    }
    deployment = config.deployment
    names = (
        [f"expert_{i}" for i in range(deployment.experts)] if deployment.routed else ["ensemble"]
    )
    return [ServedModel(name, "er.engine.simulated_model", UNBATCHED, parameters) for name in names]


def cost_of(config: Config) -> StepCost:
    """Step times of one engine of the deployment."""
    deployment = config.deployment
    return step_cost(
        deployment.model, deployment.precision, deployment.tp, config.hardware, engine_of(config)
    )


def limits_of(config: Config) -> Limits:
    """Batch and memory limits of one engine of the deployment."""
    deployment, engine = config.deployment, engine_of(config)
    blocks = kv_blocks(
        deployment.model, deployment.precision, deployment.tp, config.hardware, engine
    )
    return Limits(
        engine.max_batch_size,
        engine.max_num_tokens,
        engine.max_seq_len,
        engine.tokens_per_block,
        blocks,
    )


def engine_of(config: Config) -> SimulatedEngine:
    """The engine's settings, as those of a simulated one."""
    if not isinstance(config.engine, SimulatedEngine):
        raise ConfigError("engine.kind is simulated: its settings must be engine=simulated")
    return config.engine
