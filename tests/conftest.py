"""What all tests share."""

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

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


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes share the tests: a file stays together, and so do those on Triton.

    Tests on Triton measure time: no two of them run at once.
    """
    for item in items:
        group = "embedded" if item.get_closest_marker("embedded") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
