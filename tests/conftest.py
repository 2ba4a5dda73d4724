"""What all tests share."""

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

ROOT = Path(__file__).parent.parent

# A suite that a script starts with `&` ignores Ctrl-C, and so would the commands it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# On a busy machine the making of cases, too, is slow.
settings.register_profile("er", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("er")


@pytest.fixture(scope="session")
def cache_dir() -> Path:
    """The checkout's own cache: pinned packages are downloaded once for tests and demo."""
    return ROOT / ".cache"


class TritonApart(LoadFileScheduling):
    """A file stays in one process; so do all on Triton: they measure time, one after the other."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        if file.startswith("tests/slurm/"):  # one Slurm for all of them
            return "slurm"
        return "embedded" if file.startswith("tests/embedded/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> TritonApart:
    """How the processes of `make test` share the tests."""
    return TritonApart(config, log)
