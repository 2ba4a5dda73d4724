"""Opening an MLflow store: one line where that fails, and no two processes making it at once."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import _initialize_tables
from mlflow.tracking import MlflowClient
from sqlalchemy import NullPool, create_engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from er.errors import ErError
from er.results import sqlite_file
from er.results.sqlite_file import ADVICE, MEMORY, SQLITE

POSTGRESQL = "postgresql"
ADVISORY_LOCK = 0x6572  # a number of our own, among the locks of a database
STORE_ERRORS = (MlflowException, SQLAlchemyError, OSError)
# A server that does not answer is named after seconds; MLflow's own seven retries take minutes.
FEW_RETRIES = ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
WAIT = "another program writes to it: run again when it has ended (runs: python -m er.publish DIR)"
ANSWERS = "see that it answers, set tracking.uri=..., or run with tracking.enabled=false"
# What SQLAlchemy sets before an error itself, on a line of its own.
ASIDE = "(raised as a result of"
# Of files, by address: a server may have gone, and is asked again.
_opened: dict[str, MlflowClient] = {}
# What these print of an error stands in the one line that we raise.
CHATTY = ("alembic", "mlflow.store.db.utils", "mlflow.tracking", "mlflow.store.tracking")


def open_store(uri: str) -> MlflowClient:
    """A client of the store at `uri`, made and migrated when new.

    Raises ErError when it cannot be opened.
    """
    # MLflow keeps the connections of an address: a relative one would mean the same file from
    # every folder.
    uri = sqlite_file.absolute(uri)
    known = _opened.get(uri)
    if known and _is_there(uri):
        return known
    os.environ.setdefault(*FEW_RETRIES)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with one_at_a_time(uri):
            if uri.startswith(SQLITE) and uri != MEMORY and not _is_there(uri):
                _make_file(Path(uri.removeprefix(SQLITE)).resolve())
            client = MlflowClient(tracking_uri=uri)
            client.search_experiments(max_results=1)
    except ImportError as error:
        raise ErError(
            f"cannot open the MLflow store {uri}: its driver is not installed ({error.name}): "
            "pip install it, or set tracking.uri=..."
        ) from error
    except STORE_ERRORS as error:
        reason = first_line(error)
        advice = WAIT if "is locked" in reason else ADVICE if uri.startswith(SQLITE) else ANSWERS
        raise ErError(f"cannot open the MLflow store {uri}: {reason}: {advice}") from error
    if uri.startswith(SQLITE):
        _opened[uri] = client
    return client


def _make_file(path: Path) -> None:
    """Make a store's file with all its tables, whole or not at all: MLflow takes seconds for them,
    and cannot open a file that lacks some."""
    part = path.with_name(f"{path.name}.part")
    parts = (part, part.with_name(f"{part.name}-journal"))
    for left in parts:  # by a killed command
        left.unlink(missing_ok=True)
    try:
        engine = create_engine(f"{SQLITE}{part}", poolclass=NullPool)
        _initialize_tables(engine)  # type: ignore[no-untyped-call]
        engine.dispose()
        part.replace(path)
    finally:
        for left in parts:
            left.unlink(missing_ok=True)


def _is_there(uri: str) -> bool:
    """Whether there is such a file that is not empty; one opened before may have been moved."""
    path = Path(uri.removeprefix(SQLITE))
    return path.exists() and path.stat().st_size > 0


def first_line(error: Exception) -> str:
    """What went wrong, without the pages that MLflow and SQLAlchemy add."""
    lines = [line for line in str(error).splitlines() if line and not line.startswith(ASIDE)]
    return lines[0] if lines else type(error).__name__


@contextmanager
def one_at_a_time(uri: str) -> Iterator[None]:
    """While a new store gets its tables, or a run its entries: MLflow looks for a row and then
    makes it, so of several processes at once all but one would fail.

    Not within another such block of the same process, which would wait for ever.
    """
    if uri.startswith(POSTGRESQL):
        with create_engine(uri, poolclass=NullPool).connect() as connection:
            connection.execute(select(func.pg_advisory_lock(ADVISORY_LOCK)))  # until it is closed
            yield
        return
    if not uri.startswith(SQLITE) or uri == MEMORY:
        yield
        return
    path = Path(uri.removeprefix(SQLITE))
    sqlite_file.check(uri)  # MLflow retries an unusable file for a minute and then prints a page
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
