"""What all tests share."""

import gc
import os
import signal
import sqlite3
from collections import Counter
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


# What the processes of `make test` begin with, in this order: three processes take the first three,
# and each has one more of the next three waiting. Those on Slurm and on Triton wait more than they
# compute, so that the third keeps the cores busy; what comes last is short.
FIRST = (
    "slurm-triton",
    "embedded",
    "tests/compose/test_compose.py",
    "slurm",
    "tests/unit/report/test_report.py",
    "tests/compose/test_plugins.py",
    "tests/unit/simulation/test_closed_loop.py",
    "tests/unit/tracking/test_postgres.py",
    "tests/unit/tracking/test_publishing_again.py",
    "tests/unit/load/test_alone.py",
    "tests/unit/figures/test_figures.py",
)


def group_of(nodeid: str) -> str:
    """A file stays in one process; so do all on Triton: they measure time, one after the other."""
    file = nodeid.partition("::")[0]
    if file.startswith("tests/slurm/"):  # two Slurms, which take about as long
        return "slurm" if file.endswith(("test_jobs.py", "test_scripts.py")) else "slurm-triton"
    return "embedded" if file.startswith("tests/embedded/") else file


class Groups(LoadFileScheduling):
    """Gives a process one group of tests after the other, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In the processes of `make test` the longest groups begin first, then those of most tests."""
    if not hasattr(config, "workerinput"):
        return
    groups = [group_of(item.nodeid) for item in items]
    sizes = Counter(groups)

    def place(group: str) -> tuple[int, int]:
        return FIRST.index(group) if group in FIRST else len(FIRST), -sizes[group]

    order = sorted(range(len(items)), key=lambda number: place(groups[number]))
    items[:] = [items[number] for number in order]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than cores: tests on Slurm and Triton wait more than they compute."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Groups:
    """How the processes of `make test` share the tests."""
    config.option.loadscopereorder = False
    return Groups(config, log)
