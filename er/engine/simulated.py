"""A deployment of simulated TensorRT-LLM engines, one for each expert."""

from pathlib import Path

from er.config import Config
from er.engine.names import model_names
from er.results.request import ServedModel
from er.simulation.cost import step_cost
from er.simulation.limits import limits_of
from er.simulation.spec import spec_of, to_json

UNBATCHED = 0  # Triton must not batch: the engine batches in flight


def models(config: Config) -> list[ServedModel]:
    """One model for each expert.

    Raises ConfigError when the deployment does not fit its GPUs, or when there are no measured step
    times for it.
    """
    spec = spec_of(config)
    limits = limits_of(spec)
    step_cost(spec)
    parameters = {
        "spec": to_json(spec),
        "cache_dir": str(Path(config.cache_dir).resolve()),
        "largest_batch_at_512_tokens": str(limits.kv_blocks * limits.tokens_per_block // 512),
    }
    return [
        ServedModel(name, "er.engine.simulated_model", UNBATCHED, parameters)
        for name in model_names(config.deployment)
    ]
