"""A store of runs for each test."""

import shutil
from pathlib import Path

import pytest

from er.tracking.store import open_store


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without runs; to make one takes MLflow two seconds."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    open_store(f"sqlite:///{path}")
    return path


@pytest.fixture
def uri(tmp_path: Path, empty_store: Path) -> str:
    shutil.copy(empty_store, tmp_path)
    return f"sqlite:///{tmp_path}/mlflow.db"
