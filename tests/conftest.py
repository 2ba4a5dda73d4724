"""What all tests share."""

import gc
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy
from hypothesis import HealthCheck, settings
from mlflow.store.db import utils
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

ROOT = Path(__file__).parent.parent

# A suite that a script starts with `&` ignores Ctrl-C, and so would the commands it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# On a busy machine the making of cases, too, is slow.
settings.register_profile("er", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("er")


def pytest_collection_finish() -> None:
    """What was imported stays: without it, each garbage collection looks at far fewer objects."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def cache_dir() -> Path:
    """The checkout's own cache: pinned packages are downloaded once for tests and demo."""
    return ROOT / ".cache"


@pytest.fixture(autouse=True, scope="session")
def new_stores_from_a_copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """MLflow's 40 migrations of a new SQLite store take seconds: run them once, then copy."""
    migrate = utils._initialize_tables
    migrated = tmp_path_factory.mktemp("store") / "migrated.db"

    def copy(engine: sqlalchemy.Engine) -> None:
        if engine.dialect.name != "sqlite":
            migrate(engine)
            return
        if not migrated.exists():
            migrate(sqlalchemy.create_engine(f"sqlite:///{migrated}"))
        with closing(sqlite3.connect(migrated)) as source, closing(engine.raw_connection()) as new:
            connection = new.driver_connection
            assert isinstance(connection, sqlite3.Connection)
            source.backup(connection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "_initialize_tables", copy)
        yield


class TritonApart(LoadFileScheduling):
    """A file stays in one process; so do all on Triton: they measure time, one after the other."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        if file.startswith("tests/slurm/"):  # two Slurms, which take about as long
            return "slurm" if file.endswith(("test_jobs.py", "test_scripts.py")) else "slurm-triton"
        return "embedded" if file.startswith("tests/embedded/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than cores: tests on Slurm and Triton wait more than they compute."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> TritonApart:
    """How the processes of `make test` share the tests."""
    return TritonApart(config, log)
