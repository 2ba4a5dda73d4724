"""A cache of compositions: jobs that choose the same options and differ only in values share one.

Hydra needs a fifth of a second for a composition, nearly all of it for the defaults list. It
applies the values of the command line last, and so does this module, to a cached composition. The
cache is kept on disk for later commands.
"""

import contextlib
import hashlib
import os
import pickle
import shutil
import sys
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

from hydra import compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, open_dict

from er.compose.experiments import folders
from er.compose.search_path import ConfigDir
from er.config import checks

SCHEMA = Path(checks.__file__).parent
version = cache(metadata.version)

FOLDERS_KEPT = 8
# Pickled compositions, by their files. Unpickling one is several times faster than copy.deepcopy.
_known: dict[Path, bytes] = {}


def composed(
    config_name: str,
    overrides: Sequence[str],
    groups: Sequence[str],
    parser: OverridesParser,
    with_hydra: bool = False,
) -> DictConfig:
    """Compose a configuration, with Hydra's own settings if `with_hydra`.

    `groups` are the names of the groups of options. Of Hydra's own settings, the working directory
    may be another one. Raises what Hydra raises.
    """
    parsed = parser.parse_overrides(list(overrides))
    if any(override.key_or_group.startswith("hydra") for override in parsed):
        return compose(config_name, overrides=list(overrides), return_hydra_config=with_hydra)
    values = [override for override in parsed if is_value(override, groups)]
    options = [str(o.input_line) for o in parsed if o not in values]
    key = _folder() / digest(_inputs()) / digest((config_name, options))
    kept = [key.with_suffix(".pickle"), key.with_suffix(".hydra.pickle")]
    result = _kept(kept[with_hydra])
    if result is None:
        made = compose(config_name, overrides=options, return_hydra_config=True)
        _keep(kept[True], pickle.dumps(made))
        with open_dict(made):
            del made["hydra"]  # as Hydra does
        _keep(kept[False], pickle.dumps(made))
        result = pickle.loads(_known[kept[with_hydra]])
    ConfigLoaderImpl._apply_overrides_to_config(values, result)
    return result


def is_value(override: Override, groups: Sequence[str]) -> bool:
    """Whether an override sets a value, such as `seed=1`, and does not choose an option."""
    return (
        override.type is OverrideType.CHANGE
        and override.package is None
        and override.key_or_group not in groups
    )


def digest(made_from: object) -> str:
    """Thirty-two hexadecimal digits that stand for it."""
    return hashlib.sha256(repr(made_from).encode()).hexdigest()[:32]


def _kept(file: Path) -> DictConfig | None:
    """A copy of the composition that this or another process kept in a file."""
    try:
        if file not in _known:
            _known[file] = file.read_bytes()
        found: DictConfig = pickle.loads(_known[file])
    except (OSError, EOFError, pickle.UnpicklingError):
        return None
    return found


def _keep(file: Path, composition: bytes) -> None:
    """Keep a composition for later; of the folders beside its own the newest stay on disk."""
    _known[file] = composition
    part = file.with_suffix(f".{os.getpid()}.part")
    with contextlib.suppress(OSError):  # a cache that cannot be written is not needed
        made = not file.parent.exists()
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(composition)
        part.rename(file)
        if made:
            beside = sorted(file.parent.parent.iterdir(), key=lambda path: path.stat().st_mtime)
            for old in beside[:-FOLDERS_KEPT]:
                shutil.rmtree(old, ignore_errors=True)


def _folder() -> Path:
    """A folder in the user's own cache, since unpickling a file of others is not safe."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "er" / "composed"


def _inputs() -> tuple[object, ...]:
    """Everything a composition is made from: files of options and of the schema (by size and time
    of change) and versions of libraries."""
    options = [path for folder in folders(ConfigDir.folder) for path in folder.rglob("*.yaml")]
    files = [*options, *SCHEMA.glob("*.py"), *Path(__file__).parent.glob("*.py")]
    stats = {str(path): path.stat() for path in files}
    seen = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in sorted(stats.items())]
    return (seen, [version(package) for package in ("hydra-core", "omegaconf")], sys.version)
