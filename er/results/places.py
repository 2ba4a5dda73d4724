"""Where runs are on disk, and that one command at a time adds to one."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from er.errors import ErError


@contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Raise ErError with advice when the folder cannot be written."""
    try:
        yield
    except OSError as error:
        raise ErError(
            f"cannot write runs to {folder}: {error.strerror}: make it a directory you may write "
            "to, make room, or set runs_dir=..."
        ) from error


@contextmanager
def naming_run(path: Path) -> Iterator[None]:
    """Raise ErError with advice when the directory of one run cannot be written."""
    try:
        yield
    except OSError as error:
        raise ErError(
            f"cannot write to {path}: {error.strerror or error}: give it back, make it writable or "
            "make room, and run the command again"
        ) from error


def fresh(folder: Path, name: str) -> Path:
    """A new directory `name`, `name.2`, `name.3`..."""
    while True:
        path = place(folder, name, count(folder, name) + 1)
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path


def count(folder: Path, name: str) -> int:
    """How many directories of one name there are."""
    number = 0
    while place(folder, name, number + 1).exists():
        number += 1
    return number


def place(folder: Path, name: str, number: int) -> Path:
    """The path of the directory with this number among those of one name."""
    return folder / (name if number <= 1 else f"{name}.{number}")


def locks(file: IO[str]) -> bool:
    """Whether nobody else holds the lock; it ends with the process, however that ends."""
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
