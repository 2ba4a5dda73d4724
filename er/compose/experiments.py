"""Several experiments in one command: named one after the other, or as a collection."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from er.options import CONF

GROUP = "experiment"


def collected(
    given: list[Override], parser: OverridesParser, folders: Sequence[Path]
) -> list[Override]:
    """The overrides, with the experiments of a collection in place of its name.

    A collection is a file of the group experiment that has `experiments: [NAME, ...]` alone.
    """
    expanded = []
    for override in given:
        names = _names_in(override, folders)
        text = f"{override.get_key_element()}={','.join(names)}"
        expanded += parser.parse_overrides([text]) if names else [override]
    return expanded


def folders(config_dir: Path | None) -> list[Path]:
    """Where options are: `conf/`, and a user's folder."""
    return [CONF, *([config_dir] if config_dir else [])]


def one_experiment_each(given: list[Override], parser: OverridesParser) -> list[list[Override]]:
    """The overrides once for each experiment that they name: each has a sweep of its own."""
    for place, override in enumerate(given):
        if override.key_or_group == GROUP and override.is_sweep_override():
            key = override.get_key_element()
            names = [f"{key}={name}" for name in override.sweep_string_iterator()]
            before, after = given[:place], given[place + 1 :]
            return [[*before, one, *after] for one in parser.parse_overrides(names)]
    return [given]


def _names_in(override: Override, folders: Sequence[Path]) -> list[str]:
    if override.key_or_group != GROUP or override.is_sweep_override():
        return []
    files = [folder / GROUP / f"{override.value()}.yaml" for folder in folders]
    for file in filter(Path.exists, files):
        values = OmegaConf.load(file)
        if isinstance(values, DictConfig) and list(values) == ["experiments"]:
            return [str(name) for name in values.experiments]
    return []
