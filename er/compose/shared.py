"""Compositions that share what they have in common.

Hydra needs a fifth of a second for a composition, nearly all of it for the defaults list. Jobs that
choose the same options and differ in values alone share one: Hydra applies values of the command
line to it last, and so does this module.
"""

import pickle
from collections.abc import Sequence

from hydra import compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig

from er.compose.experiments import folders
from er.compose.search_path import ConfigDir

Stamp = tuple[tuple[str, int, int], ...]
# Pickled, which copies several times faster than copy.deepcopy.
_known: dict[tuple[Stamp, str, tuple[str, ...], bool], bytes] = {}


def composed(
    config_name: str,
    overrides: Sequence[str],
    groups: Sequence[str],
    parser: OverridesParser,
    with_hydra: bool = False,
) -> DictConfig:
    """What Hydra makes of the overrides, its own settings left out unless `with_hydra`.

    `groups` are the names of the groups of options. Raises what Hydra raises.
    """
    parsed = parser.parse_overrides(list(overrides))
    if any(override.key_or_group.startswith("hydra") for override in parsed):
        return compose(config_name, overrides=list(overrides), return_hydra_config=with_hydra)
    values = [override for override in parsed if is_value(override, groups)]
    options = tuple(str(o.input_line) for o in parsed if o not in values)
    key = (_stamp(), config_name, options, with_hydra)
    if key not in _known:
        made = compose(config_name, overrides=list(options), return_hydra_config=with_hydra)
        _known[key] = pickle.dumps(made)
    result: DictConfig = pickle.loads(_known[key])
    ConfigLoaderImpl._apply_overrides_to_config(values, result)
    return result


def is_value(override: Override, groups: Sequence[str]) -> bool:
    """Whether an override sets a value, such as `load.seed=1`, and chooses no option."""
    return (
        override.type is OverrideType.CHANGE
        and override.package is None
        and override.key_or_group not in groups
    )


def _stamp() -> Stamp:
    """What a composition reads, by size and time of change."""
    files = [path for folder in folders(ConfigDir.folder) for path in folder.rglob("*.yaml")]
    stats = [(str(path), path.stat()) for path in sorted(files)]
    return tuple((path, stat.st_size, stat.st_mtime_ns) for path, stat in stats)
