"""Built engines, each in a folder named by the digest of everything it was built from.

engines/NAME-KEY/             rank0.engine ... config.json, request.json
engines/.building/NAME-KEY/   a build in progress, or the rest of a killed one
engines/.locks/NAME-KEY       locked by its builder; the kernel unlocks it when the builder dies
"""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from er.errors import ErError

REQUEST = "request.json"


@dataclass(frozen=True)
class Wanted:
    """An engine that is needed: what it is built from, and what its config.json must contain."""

    name: str  # for people, such as llama3_70b-int8_weight_only-tp4
    request: dict[str, Any]
    expected: dict[str, Any]  # dotted path into config.json: value
    ranks: int

    @property
    def key(self) -> str:
        """SHA-256 of the canonical request, in hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.request, sort_keys=True).encode()).hexdigest()

    @property
    def folder(self) -> str:
        """The engine's folder in the cache."""
        return f"{self.name}-{self.key[:16]}"


def obtain(root: Path, wanted: Wanted, build: Callable[[Path], None]) -> tuple[Path, bool]:
    """The path of the engine, and whether it existed already.

    `build` gets an empty folder, and leaves the engine in its folder `engine/`. Only one builder of
    an engine works at a time; others wait and reuse its result. Raises ErError when the engine,
    built or found, is not the wanted one; then, and when `build` raises, the cache is not changed.
    """
    path = root / wanted.folder
    with locked(root, wanted.folder):
        if path.exists():
            require(path, wanted)
            return path, True
        with building(root, wanted.folder) as work:
            build(work)
            require_built(work / "engine", wanted)
            (work / "engine" / REQUEST).write_text(json.dumps(wanted.request, indent=1))
            (work / "engine").rename(path)
    return path, False


@contextmanager
def locked(root: Path, folder: str) -> Iterator[None]:
    """Hold the lock of one engine, once its present holder has released it."""
    (root / ".locks").mkdir(parents=True, exist_ok=True)
    with (root / ".locks" / folder).open("w") as file:
        lock(file, root)
        yield


def lock(file: IO[str], root: Path) -> None:
    """Wait for the lock. Raises ErError when the file system does not support locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        raise ErError(
            f"{root} is on a file system without flock ({error.strerror}), which keeps two "
            "builders apart: Lustre needs the mount option flock (or localflock for one node); "
            "otherwise set cache_dir to another file system"
        ) from error


@contextmanager
def building(root: Path, folder: str) -> Iterator[Path]:
    """An empty folder for a build, which is removed afterwards, as is one of a killed builder."""
    work = root / ".building" / folder
    remove(work)
    work.mkdir(parents=True)
    try:
        yield work
    finally:
        remove(work)


def remove(folder: Path) -> None:
    """Remove the folder of a build, if it exists.

    Raises ErError when that fails: hundreds of gigabytes must not stay unnoticed.
    """
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise ErError(
            f"cannot remove {folder}, what is left of a build ({error.strerror}: "
            f"{error.filename}): remove it as the user who owns it (sudo rm -r where that is root)"
        ) from error


def require(path: Path, wanted: Wanted) -> None:
    """Raise ErError unless the engine in the cache is the wanted one."""
    fault = find_fault(path, wanted.expected, wanted.ranks)
    request_file = path / REQUEST
    if not fault and (
        not request_file.is_file() or json.loads(request_file.read_text()) != wanted.request
    ):
        fault = f"{REQUEST} is of another request"
    if fault:
        raise ErError(f"engine {path} is damaged: {fault}; delete the folder and build again")


def require_built(path: Path, wanted: Wanted) -> None:
    """Raise ErError unless the tools built the wanted engine."""
    if fault := find_fault(path, wanted.expected, wanted.ranks):
        raise ErError(
            f"the tools built another engine than the requested one: {fault} (in {wanted.name})"
        )


def find_fault(path: Path, expected: dict[str, Any], ranks: int) -> str:
    """The first fault of an engine folder; empty when there is none."""
    for rank in range(ranks):
        file = path / f"rank{rank}.engine"
        if not file.is_file() or file.stat().st_size == 0:
            return f"{file.name} is missing or empty"
    try:
        config = json.loads((path / "config.json").read_text())
    except (OSError, ValueError) as error:
        return f"config.json cannot be read ({error.__class__.__name__})"
    for place, value in expected.items():
        actual = config
        for name in place.split("."):
            actual = actual.get(name) if isinstance(actual, dict) else None
        if actual != value:
            return f"{place} is {actual}, not {value}"
    return ""


def engines(root: Path) -> list[Path]:
    """The folders of all engines in the cache."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")


def size_bytes(path: Path) -> int:
    """The size of a folder on disk, in bytes."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def prune(root: Path) -> list[Path]:
    """Remove folders of killed builders and engines without a request; returns their paths."""
    builds = root / ".building"
    unusable = [path for path in engines(root) if not (path / REQUEST).is_file()]
    unusable += (
        [path for path in builds.iterdir() if not busy(root, path.name)] if builds.is_dir() else []
    )
    for path in unusable:
        remove(path)
    return unusable


def busy(root: Path, folder: str) -> bool:
    """Whether a builder holds the engine's lock."""
    path = root / ".locks" / folder
    if not path.exists():
        return False
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
