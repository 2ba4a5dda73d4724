"""Bundles: runs of a study in one file, a zip with a list of digests, for another machine.

manifest.json   format, study, and the SHA-256 of every other file
NAME/...        the files of each run
views/...       figures and verdicts of the study, as they were where it was exported
"""

import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from er.errors import ConfigError, ErError
from er.results import consistency, hosts, names, places
from er.results.archive_manifest import FORMAT, MANIFEST, VIEWS, read_manifest
from er.results.run_dir import RunDir

DERIVED = {"claims.json", "points.csv"}  # made again from the other files of a run
TIME = (1980, 1, 1, 0, 0, 0)  # of every entry, so that the same runs give the same bytes
PIECE = 1 << 20  # bytes that are read at once
UNREADABLE = (zipfile.BadZipFile, EOFError, zlib.error, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class Bundle:
    """The content of a bundle that was read."""

    study: str
    runs: list[Path]  # their directories
    views: dict[str, bytes]  # by file name


def write(
    file: Path,
    study: str,
    runs: Mapping[str, Path],
    views: Sequence[Path],
    *,
    requests: bool,
    number_hosts: bool = False,
) -> int:
    """Write a bundle of run directories, by name, and of views; returns its size in bytes.

    Without `requests`, the records of requests are left out. With `number_hosts`, names of hosts in
    the runs are replaced by host-1, host-2 and so on.
    """
    known = hosts.numbered(folder for _, folder in sorted(runs.items())) if number_hosts else {}
    digests: dict[str, str] = {}
    with _whole(file) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as bundle:
        for run, folder in sorted(runs.items()):
            for path in _files_of(folder, requests):
                name = path.relative_to(folder).as_posix()
                content = hosts.without(known, name, path.read_bytes())
                _add(bundle, digests, f"{run}/{hosts.renamed(known, name)}", content)
        for path in sorted(views):
            _add(bundle, digests, f"{VIEWS}/{path.name}", path.read_bytes())
        manifest = {"format": FORMAT, "study": study, "files": digests}
        _add(bundle, {}, MANIFEST, json.dumps(manifest, indent=1).encode())
    return file.stat().st_size


def read(file: Path, folder: Path) -> Bundle:
    """Copy all runs of a bundle into `folder`/STUDY, or none of them.

    A run that exists with the same files is not changed. Raises ConfigError for a file that is not
    a bundle or is damaged, and ErError for a run that exists with other files or has a point that
    contradicts its requests.
    """
    with _opened(file) as bundle:
        manifest = read_manifest(file, bundle)
        for name, digest in manifest["files"].items():
            if _digest(bundle, name) != digest:
                raise ConfigError(f"{file} is damaged: {name} is not what was exported")
        target = folder / str(manifest["study"])
        with (
            places.explain_write_errors(target),
            _remove_if_empty(target),
            tempfile.TemporaryDirectory(dir=target) as part,
        ):
            bundle.extractall(part, manifest["files"])
            runs = _place(file, Path(part), target)
            views = {path.name: path.read_bytes() for path in Path(part).glob(f"{VIEWS}/*")}
    return Bundle(target.name, runs, views)


@contextmanager
def _whole(file: Path) -> Iterator[Path]:
    """A path to write to, which becomes `file` where the block succeeds, and is gone otherwise.

    Raises ErError when it cannot be written.
    """
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(file)
    except OSError as error:
        raise ErError(
            f"cannot write {file}: {error.strerror or error}: make room, or choose another folder"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def _remove_if_empty(folder: Path) -> Iterator[None]:
    """Make a folder and its parents; afterwards remove those that are new and empty."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for path in new:
            with suppress(OSError):
                path.rmdir()


def _files_of(folder: Path, requests: bool) -> Iterator[Path]:
    """The files of a run that a bundle holds."""
    for path in sorted(folder.rglob("*")):
        first = path.relative_to(folder).parts[0]
        if path.is_file() and path.name not in DERIVED and (requests or first != names.REQUESTS):
            yield path


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    """Open the zip file. Raises ConfigError when it cannot be read."""
    try:
        with zipfile.ZipFile(file) as bundle:
            yield bundle
    except UNREADABLE as error:
        raise ConfigError(f"{file} is not a bundle of er, or is damaged: {error}") from error
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror or error}") from error


def _place(file: Path, part: Path, target: Path) -> list[Path]:
    """Check the runs in `part`, then move those that `target` does not have yet."""
    runs = sorted(path for path in part.iterdir() if path.name != VIEWS)
    for run in runs:
        _check(file, run, target)
        there = target / run.name
        for path in sorted(run.rglob("*")) if there.exists() else []:
            other = there / path.relative_to(run)
            if path.is_file() and not _same(path, other):
                name = path.relative_to(run).as_posix()
                raise ErError(f"{there} is there with another {name}: move it away first")
    for run in runs:
        if not (target / run.name).exists():
            run.rename(target / run.name)  # fails where another import has just made it
    return [target / run.name for run in runs]


def _same(path: Path, other: Path) -> bool:
    """Whether two files of a run are equal.

    In records the tags do not count: a later command that measures nothing changes them.
    """
    if not other.is_file():
        return False
    if path.read_bytes() == other.read_bytes():
        return True
    if path.name != names.RECORD:
        return False
    records = [RunDir(each.parent).read(names.RECORD) for each in (path, other)]
    one, two = ({**record, "tags": None} for record in records)
    return one == two


def _check(file: Path, folder: Path, target: Path) -> None:
    """Raise ConfigError unless a folder is a run of the study.

    Raises ErError when one of its points contradicts its requests.
    """
    run = RunDir(folder)
    try:
        run.check()
        record, config = run.read(names.RECORD), run.read(names.CONFIG)
        study = config["study"]
        if study == target.name:
            str(config["deployment"]["id"])
        for name in ("er.deployment", "er.title", "er.engine_kind", "er.clock", "er.workload"):
            str(record["tags"][name])
    except ErError as error:
        what = str(error).replace(f"{folder}/", "").partition(": put")[0]
        raise ConfigError(f"{file} is not a bundle of er: run {folder.name}: {what}") from error
    if study != target.name:
        raise ConfigError(f"{file} is not a bundle of er: run {folder.name} is of study {study}")
    try:
        consistency.require_consistent(run)
    except ErError as error:
        raise ErError(f"{file} is not imported: run {error}") from error


def _add(bundle: zipfile.ZipFile, digests: dict[str, str], name: str, content: bytes) -> None:
    bundle.writestr(zipfile.ZipInfo(name, TIME), content, zipfile.ZIP_DEFLATED)
    digests[name] = hashlib.sha256(content).hexdigest()


def _digest(bundle: zipfile.ZipFile, name: str) -> str:
    total = hashlib.sha256()
    with bundle.open(name) as entry:
        while piece := entry.read(PIECE):
            total.update(piece)
    return total.hexdigest()
