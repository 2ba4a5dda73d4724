"""The settings that a person compares; the whole configuration is an artifact."""

from typing import Any

from er.results.labels import flatten

COMPARED = (
    "clock.kind",
    "corpus.name",
    "deployment.experts",
    "deployment.id",
    "deployment.model.name",
    "deployment.precision",
    "deployment.tp",
    "engine.chunked_context",
    "engine.kind",
    "engine.kv_cache_reuse",
    "engine.max_batch_size",
    "engine.max_num_tokens",
    "engine.scheduler_policy",
    "engine.weights",
    "hardware.name",
    "load.arrivals",
    "load.client",
    "load.name",
    "load.requests_per_user",
    "load.think_time_s",
    "seed",
    "target.url",
    "workload.name",
)
ROUTED = ("routing.name", "routing.policy")


def parameters(config: dict[str, Any]) -> dict[str, str]:
    """Named as in the configuration, so that each can be given back on the command line."""
    flat = dict(flatten(config))
    deployment = config.get("deployment", {})
    routed = deployment.get("experts", 1) > 1 or deployment.get("behind_gateway", False)
    names = [*COMPARED, *(ROUTED if routed else ())]
    chosen = {name: str(flat[name]) for name in names if name in flat}
    if deployment:
        chosen["gpus"] = str(deployment["tp"] * deployment["experts"])
    return chosen
