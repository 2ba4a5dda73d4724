"""The classes of `er.config`, as Hydra knows them, and back."""

from functools import cache

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from er.compose.keys import unknown_key
from er.compose.kinds import CLUSTERS, ENGINES, GATEWAYS, WORKLOADS
from er.compose.messages import checked
from er.config import Config
from er.errors import ConfigError


@cache
def register_schema() -> None:
    """Make the classes of `er.config` known to Hydra."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    for kind, node in ENGINES.items():
        store.store(group="engine", name=f"base_{kind}", node=node)
    for kind, node in GATEWAYS.items():
        store.store(group="gateway", name=f"base_{kind}", node=node)
    for kind, node in WORKLOADS.items():
        store.store(group="workload", name=f"base_{kind}", node=node)
    for kind, node in CLUSTERS.items():
        store.store(group="cluster", name=f"base_{kind}", node=node)


def to_config(composed: DictConfig) -> Config:
    """The checked configuration of one job.

    Raises ConfigError when a value is missing, of the wrong type, or breaks a rule.
    """
    with checked():
        config = OmegaConf.to_object(composed)
    if not isinstance(config, Config):
        raise ConfigError("the configuration has no schema: begin its defaults with - config")
    _refuse_unknown(composed, config, "")
    return config


def _refuse_unknown(composed: DictConfig, value: object, place: str) -> None:
    """An override with `+` can add a key to a typed node; no such key is left unread."""
    for key, known in composed.items():
        name = f"{place}{key!s}"
        if not hasattr(value, "__dataclass_fields__"):
            return
        if str(key) not in value.__dataclass_fields__:
            raise ConfigError(unknown_key(name, [place + f for f in value.__dataclass_fields__]))
        if isinstance(known, DictConfig):
            _refuse_unknown(known, getattr(value, str(key)), f"{name}.")
