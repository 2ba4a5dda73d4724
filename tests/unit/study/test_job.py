"""What ends a run stays what is told, also when the run cannot be published."""

import io
import json
import shutil
from pathlib import Path

import pytest
from example_requests import answered
from rich.console import Console

from er.config import ClockKind, Config
from er.errors import ErError
from er.results.run_dir import RunDir
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
