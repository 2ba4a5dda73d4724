"""Configurations and runs for tests that start nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from example_requests import answered
from tiny_corpus import corpus, package

from er import bundle, compose
from er.config import Config
from er.results.keys import run_key, study_key
from er.results.open_run import open_run
from er.results.point import measure
from er.results.run_dir import RunDir, plain
from er.tracking.publish import publish
from er.tracking.query import PublishedRun

__all__ = ["corpus", "package"]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Deployment A, with runs under the test's own folder."""
    return compose.plan(["+experiment=fig4", "deployment=a", f"runs_dir={tmp_path / 'runs'}"])[0]


@pytest.fixture(scope="session")
def finished_run() -> Callable[..., RunDir]:
    """Makes a run directory as a finished run leaves it: a valid point, then an invalid one."""

    def make(config: Config, status: str = "finished") -> RunDir:
        tags = {
            "er.clock": "real",
            "er.deployment": config.deployment.id,
            "er.engine_kind": "simulated",
            "er.study_key": study_key(config),
            "er.title": config.title,
            "er.workload": "example",
        }
        key = run_key(config)
        folder = Path(config.runs_dir) / config.study
        with open_run(folder, config.deployment.id, key, resume=False) as run:
            run.begin(config, {"host": "example"}, tags)
            for users, count in ((1, 24), (2, 3)):
                with run.request_log(users) as log:
                    for index in range(count):
                        log.add(answered(index, users))
                run.add_point(measure(log.requests, users, config.load))
            run.end(status)
        return run

    return make


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


@pytest.fixture(scope="session")
def exported_once(
    tmp_path_factory: pytest.TempPathFactory, finished_run: Callable[..., RunDir]
) -> Path:
    """A folder with two published runs and a bundle of them."""
    folder = tmp_path_factory.mktemp("original")
    uri = f"sqlite:///{folder / 'runs' / 'mlflow.db'}"
    for name in ("a", "d"):
        words = ["+experiment=fig4", f"deployment={name}", f"runs_dir={folder / 'runs'}"]
        config = compose.plan(words)[0]
        publish(finished_run(config), uri)
    assert bundle.answer(["export", "ladder", str(folder / "ladder.zip"), f"uri={uri}"]) == 0
    return folder


@pytest.fixture
def exported(tmp_path: Path, exported_once: Path) -> Path:
    """A bundle of two published runs, beside the store that has them."""
    shutil.copytree(exported_once, tmp_path, dirs_exist_ok=True)
    return tmp_path / "ladder.zip"
