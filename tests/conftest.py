"""What all tests share."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def cache_dir() -> Path:
    """The checkout's own cache: pinned packages are downloaded once for tests and demo."""
    return ROOT / ".cache"
