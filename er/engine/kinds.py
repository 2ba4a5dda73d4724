"""The models that Triton has to serve for a configuration, for every kind of engine."""

from collections.abc import Callable

from er.config import Config
from er.engine import llmapi, simulated, smollm2, trtllm_build
from er.errors import ConfigError
from er.results.request import ServedModel

KINDS: dict[str, Callable[[Config], list[ServedModel]]] = {
    "simulated": simulated.models,
    "smollm2": smollm2.models,
    "llmapi": llmapi.models,
    "trtllm": trtllm_build.models,
}


def models(config: Config) -> list[ServedModel]:
    """The models of the deployment: `expert_0`... if it is routed, otherwise `ensemble`.

    Raises ConfigError when the engine's kind is unknown or the deployment cannot run.
    """
    kind = config.engine.kind
    if kind not in KINDS:
        raise ConfigError(f"engine.kind is {kind}: choose from {sorted(KINDS)}")
    return KINDS[kind](config)
