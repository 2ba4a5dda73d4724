"""Read the manifest of a bundle, and check the files of the bundle against it."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from er.config.run import names_study
from er.errors import ConfigError

FORMAT = "er bundle 1"
MANIFEST = "manifest.json"
VIEWS = "views"
EXPANSION_AT_MOST = 100  # size of the files over that of the bundle; er's own expand sixfold


def read_manifest(file: Path, bundle: zipfile.ZipFile) -> dict[str, Any]:
    """The study and the files of a bundle, with their names and sizes checked."""
    try:
        values = json.loads(bundle.read(MANIFEST)) if MANIFEST in bundle.namelist() else {}
        known = values.get("format", "nothing")
    except (ValueError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f"{file} is not a bundle of er: {MANIFEST} is not a list of files"
        ) from error
    if known != FORMAT:
        raise ConfigError(
            f"{file} is a zip file, but not a bundle of er: {MANIFEST} says {known}, not {FORMAT}"
        )
    study, listed = values.get("study"), values.get("files")
    if (
        not isinstance(study, str)
        or not isinstance(listed, dict)
        or len(PurePosixPath(study).parts) != 1
    ):
        raise ConfigError(f"{file} is not a bundle of er: {MANIFEST} names no study and files")
    _check_names(file, bundle, study, listed)
    if not names_study(study):
        raise ConfigError(f"{file} is not a bundle of er: no study can be called {study}")
    if all(PurePosixPath(name).parts[0] == VIEWS for name in listed):
        raise ConfigError(f"{file} is not a bundle of er: it has no run")
    size, total = file.stat().st_size, sum(entry.file_size for entry in bundle.infolist())
    if total > EXPANSION_AT_MOST * size:
        raise ConfigError(
            f"{file} is not a bundle of er: {size / 1e6:.1f} MB would become {total / 1e6:,.1f} MB"
        )
    return {"study": study, "files": listed}


def _check_names(
    file: Path, bundle: zipfile.ZipFile, study: str, listed: Mapping[str, object]
) -> None:
    """Raise ConfigError unless the bundle has exactly the listed files, once each, inside a run."""
    there = bundle.namelist()
    for name in sorted({*listed, MANIFEST} ^ {*there}):
        what = "is missing" if name in listed else "is not in its list"
        raise ConfigError(f"{file} is damaged: {name} {what}")
    for name in [study, *there]:
        path = PurePosixPath(name)
        inside = not path.is_absolute() and ".." not in path.parts and "\\" not in name
        if not inside or str(path) != name or not name.isprintable():
            raise ConfigError(f"{file} is not a bundle of er: {name!r} would lie outside of it")
        if there.count(name) > 1:
            raise ConfigError(f"{file} is damaged: {name} is in it twice")
    for name in listed:
        first, *parts = PurePosixPath(name).parts
        if not parts or (first == VIEWS and len(parts) > 1):
            raise ConfigError(f"{file} is not a bundle of er: {name} belongs to no run")
