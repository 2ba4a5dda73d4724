"""A cache of compositions: jobs that choose the same options and differ only in values share one.

Hydra needs a fifth of a second for a composition, nearly all of it for the defaults list. It
applies the values of the command line last, and so does this module, to a cached composition. The
cache is kept on disk for later commands.
"""

import contextlib
import hashlib
import os
import pickle
import sys
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

from hydra import compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig

from er.compose.experiments import folders
from er.compose.search_path import ConfigDir
from er.config import checks

SCHEMA = Path(checks.__file__).parent
version = cache(metadata.version)

Key = tuple[str, tuple[str, ...], bool]
FILES_KEPT = 8
# Pickled compositions, by the digest of what they were made from. Unpickling one is several times
# faster than copy.deepcopy.
_known: dict[str, dict[Key, bytes]] = {}


def composed(
    config_name: str,
    overrides: Sequence[str],
    groups: Sequence[str],
    parser: OverridesParser,
    with_hydra: bool = False,
) -> DictConfig:
    """Compose a configuration, with Hydra's own settings if `with_hydra`.

    `groups` are the names of the groups of options. Raises what Hydra raises.
    """
    parsed = parser.parse_overrides(list(overrides))
    if any(override.key_or_group.startswith("hydra") for override in parsed):
        return compose(config_name, overrides=list(overrides), return_hydra_config=with_hydra)
    values = [override for override in parsed if is_value(override, groups)]
    options = tuple(str(o.input_line) for o in parsed if o not in values)
    key = (config_name, options, with_hydra)
    known = _of(_inputs())
    if key not in known:
        made = compose(config_name, overrides=list(options), return_hydra_config=with_hydra)
        known[key] = pickle.dumps(made)
    result: DictConfig = pickle.loads(known[key])
    ConfigLoaderImpl._apply_overrides_to_config(values, result)
    return result


def save() -> None:
    """Write new compositions to disk for later commands; only the FILES_KEPT newest files stay."""
    inputs = _inputs()
    file = _file_of(inputs)
    if len(_known.get(inputs, {})) <= len(_read(file)):
        return
    part = file.with_suffix(f".{os.getpid()}.part")
    with contextlib.suppress(OSError):  # a cache that cannot be written is not needed
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(pickle.dumps(_known[inputs]))
        part.rename(file)
        files = sorted(file.parent.glob("*.pickle"), key=lambda path: path.stat().st_mtime)
        for old in files[:-FILES_KEPT]:
            old.unlink()


def is_value(override: Override, groups: Sequence[str]) -> bool:
    """Whether an override sets a value, such as `seed=1`, and does not choose an option."""
    return (
        override.type is OverrideType.CHANGE
        and override.package is None
        and override.key_or_group not in groups
    )


def _of(inputs: str) -> dict[Key, bytes]:
    """The cached compositions that were made from `inputs`."""
    if inputs not in _known:
        _known[inputs] = _read(_file_of(inputs))
    return _known[inputs]


def _read(file: Path) -> dict[Key, bytes]:
    try:
        found: dict[Key, bytes] = pickle.loads(file.read_bytes())
    except (OSError, EOFError, pickle.UnpicklingError):
        return {}
    return found


def _file_of(inputs: str) -> Path:
    """The file in the user's own cache folder, since unpickling a file of others is not safe."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "er" / "compositions" / f"{inputs}.pickle"


def _inputs() -> str:
    """Digest of everything a composition is made from.

    Files of options and of the schema (by size and time of change), versions of libraries, and the
    working directory, which Hydra records.
    """
    options = [path for folder in folders(ConfigDir.folder) for path in folder.rglob("*.yaml")]
    files = [*options, *SCHEMA.glob("*.py"), *Path(__file__).parent.glob("*.py")]
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(files)]
    versions = [version(package) for package in ("hydra-core", "omegaconf")]
    total = repr((stats, versions, sys.version, str(Path.cwd())))
    return hashlib.sha256(total.encode()).hexdigest()[:32]
