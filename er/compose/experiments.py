"""Several experiments in one command: a list of names, or the name of a collection."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from er.options import CONF

GROUP = "experiment"


def expand_collections(
    given: list[Override], parser: OverridesParser, folders: Sequence[Path]
) -> list[Override]:
    """Replace the name of a collection by the names of its experiments.

    A collection is a file of the group `experiment` that holds only `experiments: [NAME, ...]`.
    """
    expanded = []
    for override in given:
        names = _names_in(override, folders)
        text = f"{override.get_key_element()}={','.join(names)}"
        expanded += parser.parse_overrides([text]) if names else [override]
    return expanded


def folders(config_dir: Path | None) -> list[Path]:
    """The folders of options: `conf/`, and the user's folder if one is given."""
    return [CONF, *([config_dir] if config_dir else [])]


def split_by_experiment(given: list[Override], parser: OverridesParser) -> list[list[Override]]:
    """The overrides for each experiment that they name, since each experiment has its own sweep."""
    for index, override in enumerate(given):
        if override.key_or_group == GROUP and override.is_sweep_override():
            key = override.get_key_element()
            names = [f"{key}={name}" for name in override.sweep_string_iterator()]
            before, after = given[:index], given[index + 1 :]
            return [[*before, one, *after] for one in parser.parse_overrides(names)]
    return [given]


def _names_in(override: Override, folders: Sequence[Path]) -> list[str]:
    """The experiments of the collection that an override names; empty for any other override."""
    if override.key_or_group != GROUP or override.is_sweep_override():
        return []
    files = [folder / GROUP / f"{override.value()}.yaml" for folder in folders]
    for file in filter(Path.exists, files):
        values = OmegaConf.load(file)
        if isinstance(values, DictConfig) and list(values) == ["experiments"]:
            return [str(name) for name in values.experiments]
    return []
