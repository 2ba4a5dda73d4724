"""Published runs as MLflow hands them to figures, made up without it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from er import compose
from er.config import Config
from er.results.run_dir import RunDir, plain
from er.tracking.query import PublishedRun


@pytest.fixture
def published(tmp_path: Path, finished_run: Callable[..., RunDir]) -> Callable[..., PublishedRun]:
    """Makes a finished run with these overrides: a valid point of 1 user, an invalid one of 2."""
    made: list[PublishedRun] = []

    def make(*overrides: str, clock: str = "real", id: str = "") -> PublishedRun:  # noqa: A002
        config: Config = compose.plan([f"runs_dir={tmp_path / 'runs'}", *overrides])[0]
        config.deployment.id = id or config.deployment.id
        run = finished_run(config)
        found = PublishedRun(
            run_id=f"{len(made):032x}"[::-1],
            study=config.study,
            deployment=config.deployment.id,
            title=config.title,
            engine_kind="simulated",
            clock=clock,
            workload="example",
            started=f"2026-01-01T00:0{len(made)}:00",
            points=run.points(),
            predicted=[],
            config=plain(config),
            capacity={},
            files=run.path,
        )
        made.append(found)
        return found

    return make
