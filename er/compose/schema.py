"""Register the classes of `er.config` with Hydra, and turn a composition into them."""

from functools import cache
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from er.compose.keys import describe_unknown_key, item_of
from er.compose.kinds import KINDS
from er.compose.messages import checked
from er.config import Config
from er.errors import ConfigError


@cache
def register_schema() -> None:
    """Make the classes of `er.config` known to Hydra."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    for group, kinds in KINDS.items():
        for kind, node in kinds.items():
            store.store(group=group, name=f"base_{kind}", node=node)


def to_config(composed: DictConfig) -> Config:
    """The checked configuration of one job.

    Raises ConfigError when a value is missing, of the wrong type, or breaks a rule.
    """
    with checked():
        _refuse_nested(OmegaConf.to_container(composed), "")
        config = OmegaConf.to_object(composed)
    if not isinstance(config, Config):
        raise ConfigError(
            "the configuration has no schema: begin its defaults with - config, such as "
            "defaults: [config, _self_]"
        )
    _refuse_unknown(composed, config, "")
    return config


def _refuse_nested(values: Any, place: str) -> None:
    """Raise ConfigError for a list or names with values among the items of a list of plain ones,
    which omegaconf takes."""
    for name, value in values.items():
        key = f"{place}{name}"
        if isinstance(value, dict):
            _refuse_nested(value, f"{key}.")
        if isinstance(value, list):
            nested = [item for item in value if isinstance(item, list | dict)]
            if nested and item_of(key) in (str, int, float):
                raise ConfigError(f"{key} has {nested[0]}: give one plain value for each item")


def _refuse_unknown(composed: DictConfig, value: object, place: str) -> None:
    """Raise ConfigError for a key that an override with `+` added to a typed section."""
    for key, known in composed.items():
        name = f"{place}{key!s}"
        if not hasattr(value, "__dataclass_fields__"):
            return
        if str(key) not in value.__dataclass_fields__:
            raise ConfigError(
                describe_unknown_key(name, [place + f for f in value.__dataclass_fields__])
            )
        if isinstance(known, DictConfig):
            _refuse_unknown(known, getattr(value, str(key)), f"{name}.")
