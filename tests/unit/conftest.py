"""Configurations and runs for tests that start nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from example_requests import answered
from tiny_corpus import corpus, package

from er import compose
from er.config import Config
from er.results import run_dir
from er.results.keys import run_key, study_key
from er.results.point import measure
from er.results.run_dir import RunDir

__all__ = ["corpus", "package"]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Deployment A, with runs under the test's own folder."""
    return compose.plan(["+experiment=fig4", "deployment=a", f"runs_dir={tmp_path / 'runs'}"])[0]


@pytest.fixture
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
        with run_dir.opened(folder, config.deployment.id, key, resume=False) as run:
            run.begin(config, {"host": "example"}, tags)
            for users, count in ((1, 24), (2, 3)):
                with run.request_log(users) as log:
                    for index in range(count):
                        log.add(answered(index, users))
                run.add_point(measure(log.requests, users, config.load))
            run.end(status)
        return run

    return make
