"""Where runs are on disk, and the lock that only one command at a time holds on each."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from er.errors import ErError


@contextmanager
def explain_write_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError of the block into an ErError that names the folder of runs and what to do."""
    try:
        yield
    except OSError as error:
        raise ErError(
            f"cannot write runs to {folder}: {error.strerror}: make it a directory you may write "
            "to, make room, or set runs_dir=..."
        ) from error


@contextmanager
def explain_run_write_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into an ErError that names the run directory and what to do."""
    try:
        yield
    except OSError as error:
        raise ErError(
            f"cannot write to {path}: {error.strerror or error}: give it back, make it writable or "
            "make room, and run the command again"
        ) from error


def make_directory(folder: Path, name: str) -> Path:
    """Make a new directory in `folder`: `name`, or `name.2`, `name.3`... when that exists."""
    while True:
        path = place(folder, name, count(folder, name) + 1)
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path


def count(folder: Path, name: str) -> int:
    """How many directories `name`, `name.2`, `name.3`... exist."""
    number = 0
    while place(folder, name, number + 1).exists():
        number += 1
    return number


def place(folder: Path, name: str, number: int) -> Path:
    """The path of directory `number`, counted from 1, among `name`, `name.2`, `name.3`..."""
    return folder / (name if number <= 1 else f"{name}.{number}")


def try_lock(file: IO[str]) -> bool:
    """Lock a file; False when another process holds its lock.

    The kernel releases the lock when the process ends, however it ends. Raises ErError on a file
    system without locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise ErError(
            f"{file.name} cannot be locked ({error.strerror}): the file system must support flock "
            "(Lustre: mount it with -o flock), or set runs_dir to another one"
        ) from error
    return True
