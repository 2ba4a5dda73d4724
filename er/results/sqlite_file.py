"""Whether an SQLite file can be written, asked before anything is measured; nothing is created."""

import tempfile
from pathlib import Path

from er.errors import ConfigError, ErError

SQLITE = "sqlite:///"
MEMORY = "sqlite:///:memory:"
MEANS_ELSE = {"?", "%"}  # in an address
HEAD = b"SQLite format 3\0"
ADVICE = "repair or move it, set tracking.uri=..., or run with tracking.enabled=false"


def check(uri: str) -> None:
    """Raise ConfigError, naming the store, when the SQLite file at `uri` is none, and ErError when
    it cannot be written; of other addresses nothing is known here."""
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
    """The first bytes of the file; none where it is new. Raises OSError unless it can be written,
    or made."""
    if not path.exists():
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if not folder.is_dir():
            raise NotADirectoryError(20, "Not a directory", str(folder))
        with tempfile.TemporaryFile(dir=folder):
            return b""
    with path.open("ab"):
        pass
    with path.open("rb") as file:
        return file.read(len(HEAD))
