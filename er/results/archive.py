"""Runs in one file that another machine can read: a zip with a list of digests.

manifest.json   format, study, and the SHA-256 of every other file
NAME/...        the files of each run
views/...       what the study showed where it was exported: figures and verdicts
"""

import hashlib
import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from er.errors import ConfigError, ErError

FORMAT = "er bundle 1"
MANIFEST = "manifest.json"
VIEWS = "views"
MADE = {"claims.json", "points.csv"}  # from the other files of a run, and made again from them
# What zipfile and json raise on a file that is damaged, encrypted or was never a bundle.
DAMAGE = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error),
)
TIME = (1980, 1, 1, 0, 0, 0)  # of every entry: the same runs make the same bytes


@dataclass(frozen=True)
class Bundle:
    """What a file brought."""

    study: str
    runs: list[Path]  # their directories
    views: dict[str, bytes]  # by file name


def write(
    file: Path, study: str, runs: Mapping[str, Path], views: Sequence[Path], *, requests: bool
) -> int:
    """Write the folders of runs, by name, and files that show them into a file; its size in bytes.

    Without `requests` the record of each request stays behind.
    """
    contents = {
        f"{name}/{path.relative_to(folder).as_posix()}": path
        for name, folder in sorted(runs.items())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name not in MADE
        and (requests or path.relative_to(folder).parts[0] != "requests")
    }
    contents |= {f"{VIEWS}/{path.name}": path for path in sorted(views)}
    digests = {name: _digest(path.read_bytes()) for name, path in contents.items()}
    manifest = {"format": FORMAT, "study": study, "files": digests}
    part = file.with_suffix(".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as bundle:
        _add(bundle, MANIFEST, json.dumps(manifest, indent=1).encode())
        for name, path in contents.items():
            _add(bundle, name, path.read_bytes())
    part.replace(file)
    return file.stat().st_size


def read(file: Path, folder: Path) -> Bundle:
    """Put the runs of a file into `folder`/STUDY, whole or not at all.

    A run that is there with the same files is left alone. Raises ConfigError, by name, for a file
    that is no bundle or is damaged, and ErError for a run that is there with other files.
    """
    try:
        with zipfile.ZipFile(file) as bundle:
            manifest = _manifest(file, bundle)
            contents = {name: _checked(file, bundle, manifest, name) for name in manifest["files"]}
    except DAMAGE as error:
        raise ConfigError(f"{file} is no bundle of er, or damaged: {error}") from error
    study = str(manifest["study"])
    runs = sorted({PurePosixPath(name).parts[0] for name in contents} - {VIEWS})
    views = {
        PurePosixPath(name).name: content
        for name, content in contents.items()
        if PurePosixPath(name).parts[0] == VIEWS
    }
    return Bundle(study, [_place(folder / study / run, run, contents) for run in runs], views)


def _place(target: Path, run: str, contents: Mapping[str, bytes]) -> Path:
    own = {
        name.removeprefix(f"{run}/"): c
        for name, c in contents.items()
        if name.startswith(f"{run}/")
    }
    if target.exists():
        differing = [
            name
            for name, content in own.items()
            if not (target / name).exists() or (target / name).read_bytes() != content
        ]
        if differing:
            raise ErError(f"{target} is there with another {differing[0]}: move it away first")
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as part:
        for name, content in own.items():
            path = Path(part) / run / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for name in ("requests", "logs"):
            (Path(part) / run / name).mkdir(exist_ok=True)
        shutil.move(Path(part) / run, target)
    return target


def _manifest(file: Path, bundle: zipfile.ZipFile) -> dict[str, Any]:
    names = bundle.namelist()
    values = json.loads(bundle.read(MANIFEST)) if MANIFEST in names else {}
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ConfigError(
            f"{file} is a zip file, but no bundle of er: {MANIFEST} does not say {FORMAT}"
        )
    listed, there = {*values["files"], MANIFEST}, set(names)
    for name in sorted(listed ^ there):
        what = "is missing" if name in listed else "is not in its list"
        raise ConfigError(f"{file} is damaged: {name} {what}")
    for name in [*names, str(values["study"])]:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name:
            raise ConfigError(f"{file} is no bundle of er: {name} would lie outside of it")
    if "/" in values["study"]:
        raise ConfigError(f"{file} is no bundle of er: its study is {values['study']}")
    return values


def _checked(file: Path, bundle: zipfile.ZipFile, manifest: dict[str, Any], name: str) -> bytes:
    content = bundle.read(name)
    if _digest(content) != manifest["files"][name]:
        raise ConfigError(f"{file} is damaged: {name} is not what was exported")
    return content


def _add(bundle: zipfile.ZipFile, name: str, content: bytes) -> None:
    bundle.writestr(zipfile.ZipInfo(name, TIME), content, zipfile.ZIP_DEFLATED)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
