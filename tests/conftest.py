"""What all tests share."""

import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# A suite that a script starts with `&` ignores Ctrl-C, and so would the commands it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def cache_dir() -> Path:
    """The checkout's own cache: pinned packages are downloaded once for tests and demo."""
    return ROOT / ".cache"
