"""Check, before anything is measured, that an SQLite file can be written; creates nothing."""

import errno
import os
import tempfile
from pathlib import Path

from er.errors import ConfigError, ErError

SQLITE = "sqlite:///"
MEMORY = "sqlite:///:memory:"
MEANS_ELSE = {"?", "%"}  # in an address
HEAD = b"SQLite format 3\0"
ADVICE = "repair or move it, set tracking.uri=..., or run with tracking.enabled=false"


def check(uri: str) -> None:
    """Check the SQLite file at `uri`; other addresses are not checked.

    Raises ConfigError when the file is not an SQLite database, and ErError when it cannot be
    written.
    """
    if not uri.startswith(SQLITE) or uri == MEMORY:
        return
    path = Path(uri.removeprefix(SQLITE))
    if MEANS_ELSE & set(str(path)):
        raise ConfigError(
            f"the MLflow store {path} has ? or % in its path, which mean something else in an "
            "address: set tracking.uri=... or runs_dir=..."
        )
    try:
        head = read_head(path)
    except OSError as error:
        raise ErError(f"cannot open the MLflow store {path}: {error.strerror}: {ADVICE}") from error
    if head and head != HEAD:
        raise ConfigError(
            f"the MLflow store {path} is not an SQLite database: move it away, "
            "or set tracking.uri=..."
        )


def absolute(uri: str) -> str:
    """The same store from any folder: a relative file's path is taken from this one, unless that
    has what an address cannot hold."""
    if not uri.startswith(SQLITE) or uri == MEMORY:
        return uri
    path = str(Path(uri.removeprefix(SQLITE)).absolute())
    return uri if MEANS_ELSE & set(path) else SQLITE + path


def read_head(path: Path) -> bytes:
    """The first bytes of a file; empty when it does not exist.

    Raises OSError when the file cannot be written or created.
    """
    if not path.exists():
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
        with tempfile.TemporaryFile(dir=folder):
            return b""
    with path.open("ab"):
        pass
    with path.open("rb") as file:
        return file.read(len(HEAD))
