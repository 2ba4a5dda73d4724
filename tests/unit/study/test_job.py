"""What ends a run stays what is told; what several studies share is measured once."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from example_requests import answered
from rich.console import Console

from er.config import ClockKind, Config
from er.errors import ErError
from er.results.point import measure
from er.results.run_dir import RunDir, id_of
from er.study import job
from er.study.progress import Progress


@pytest.mark.parametrize(
    ("ended", "status"), [(KeyboardInterrupt(), "interrupted"), (ErError("it died"), "failed")]
)
def test_a_broken_store_does_not_hide_what_ended_a_run(
    config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ended: BaseException,
    status: str,
) -> None:
    def walk(*_: object) -> None:
        raise ended

    (tmp_path / "mlflow.db").write_text("no database")
    config.tracking.uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setitem(job.LADDERS, ClockKind.real, walk)
    said = io.StringIO()
    sweep = job.Sweep(Progress([config], Console(file=said, width=300)))
    with pytest.raises(type(ended)) as raised:
        sweep.run(config)
    assert raised.value is ended
    assert "mlflow.db is not an SQLite database" in said.getvalue()
    assert json.loads((sweep.runs[0].path / "run.json").read_text())["status"] == status


def test_a_run_directory_that_is_removed_is_one_line(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def walk(_: Config, run: RunDir, __: Progress) -> None:
        with run.request_log(1) as log:
            shutil.rmtree(run.path)
            log.add(answered(0, 1))

    monkeypatch.setitem(job.LADDERS, ClockKind.real, walk)
    said = io.StringIO()
    sweep = job.Sweep(Progress([config], Console(file=said, width=300)))
    with pytest.raises(ErError, match=r"^cannot write to .*: No such file.*: give it back"):
        sweep.run(config)
    assert said.getvalue() == ""
    assert not sweep.runs[0].path.exists()


def test_a_run_that_another_study_has_is_taken_over_and_not_measured(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def walk(config: Config, run: RunDir, _: Progress) -> None:
        walked.append(run)
        for users in config.load.concurrency:
            with run.request_log(users) as log:
                for index in range(24):
                    log.add(answered(index, users))
            point = measure(log.requests, users, config.load)
            run.add_point(replace(point, invalid=[]))

    walked: list[RunDir] = []
    monkeypatch.setitem(job.LADDERS, ClockKind.real, walk)
    config.load.concurrency, config.tracking.enabled = [1, 2], False
    said = io.StringIO()
    sweep = job.Sweep(Progress([config] * 3, Console(file=said, width=300)))
    sweep.run(config)
    other = replace(config, study="policies", figures=["policies"])
    sweep.run(other)
    sweep.run(replace(other, seed=1))
    first, second, third = sweep.runs
    assert [run.path for run in walked] == [first.path, third.path]
    assert f"1, 2 users taken from {first.path}; nothing is measured again" in said.getvalue()
    assert second.points() == first.points()
    assert second.read("config.json")["study"] == "policies"
    assert second.read("run.json")["taken_from"] == f"{config.study}/{first.path.name}"
    assert id_of(second.read("run.json")) != id_of(first.read("run.json"))
    assert second.requests().equals(first.requests())
    sweep.resume = False
    sweep.run(replace(config, study="mine"))
    assert len(walked) == 3
