"""What er.collect does with jobs that are on disk; Slurm is not there."""

import fcntl
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from submitted_job import NAME, end, main

from er import collect
from er.cluster import folder
from er.cluster.calls import NoAnswerError
from er.cluster.folder import Attempt
from er.cluster.queue import Entry
from er.compose import Job
from er.config import Config
from er.errors import ConfigError, ErError
from er.results.command_id import new_id
from er.results.run_dir import RunDir
from er.tracking.publish import Publication


def test_a_controller_that_is_away_is_asked_again(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = Entry("12345678", "COMPLETED", "None", "n1", "0:00", NAME)
    answers: list[ErError | list[Entry]] = [NoAnswerError("away"), [ended]]

    def squeue(*_: object) -> list[Entry]:
        answer = answers.pop(0)
        if isinstance(answer, ErError):
            raise answer
        end(attempt, 0)
        return answer

    monkeypatch.setattr("er.cluster.queue.read", squeue)
    monkeypatch.setattr(collect, "EVERY_S", 0)

    assert main(collect.main, attempt, monkeypatch, "--follow") == 0
    assert not answers
    assert "waiting: 1 unknown; er.status --watch shows them" in capsys.readouterr().out


def test_collect_names_invalid_points(
    attempt: Attempt,
    config: Config,
    finished_run: Callable[[Config], RunDir],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = finished_run(config)
    (attempt.path / "run_dir.txt").write_text(str(run.path))
    end(attempt, 0)

    assert main(collect.main, attempt, monkeypatch) == 0

    reason = json.loads((run.path / "points.json").read_text())[1]["invalid"][0]
    assert f"1 invalid point: 2 users: {reason}" in capsys.readouterr().out


@pytest.mark.parametrize("running", [False, True])
def test_a_job_that_was_there_counts_for_the_later_command_too(
    attempt: Attempt,
    config: Config,
    finished_run: Callable[[Config], RunDir],
    monkeypatch: pytest.MonkeyPatch,
    running: bool,
) -> None:
    run = finished_run(config)
    (attempt.path / "run_dir.txt").write_text(str(run.path))
    attempt.write("intent.json", vars(attempt.intent) | {"publish": True})
    end(attempt, 0)
    monkeypatch.setattr(collect, "update", lambda *_: Publication("id", kept=True))
    monkeypatch.setattr(collect, "finish_all", lambda *_: None)
    if running:  # a job of other settings that adds to the same run
        monkeypatch.setattr(RunDir, "status", lambda _: "running")

    def collected() -> str:
        main(collect.main, attempt, monkeypatch)
        return str(run.read("run.json")["tags"].get("er.sweep", ""))

    assert collected() == ""
    earlier, later = new_id(), new_id()
    attempt.note_command(later)
    if running:
        assert collected() == ""
        return
    assert collected() == later
    attempt.note_command(earlier)
    assert collected() == later


@pytest.fixture
def publishing(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> Attempt:
    """Its figure cannot be drawn."""
    intent = vars(attempt.intent) | {"publish": True, "figures": ["fig4"], "tracking_uri": "uri"}
    attempt.write("intent.json", intent)

    def refuse(*_: object) -> None:
        raise ConfigError("no finished run of study ladder")

    monkeypatch.setattr(collect, "publish", len)
    monkeypatch.setattr(collect, "finish_all", refuse)
    return attempt


def test_a_figure_that_is_missing_though_all_is_measured_is_an_error(
    publishing: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(publishing, 0)

    with pytest.raises(ErError, match="no finished run"):
        main(collect.main, publishing, monkeypatch)


def test_a_figure_of_jobs_that_failed_is_none_yet(
    publishing: Attempt, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    end(publishing, 75)

    assert main(collect.main, publishing, monkeypatch) == 1

    assert "not all can be drawn yet: no finished run" in capsys.readouterr().out

    end(publishing, 1)
    assert main(collect.main, publishing, monkeypatch) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert f"{publishing.intent.title} failed: look at the logs named above" in said


def test_two_commands_at_once_wait_for_each_other(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    end(attempt, 0)
    with (attempt.path.parents[1] / "collect.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        timer = threading.Timer(0.5, lambda: fcntl.flock(lock, fcntl.LOCK_UN))
        timer.start()

        assert main(collect.main, attempt, monkeypatch) == 0

        timer.join()
    assert "another er.collect is at work on this study: waiting" in capsys.readouterr().out


def test_the_store_is_the_same_from_any_folder(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config.tracking.uri = "sqlite:///runs/mlflow.db"

    _, intent = folder.prepare(Job((), config), tmp_path / "place", "A")

    assert intent.tracking_uri == f"sqlite:///{tmp_path}/runs/mlflow.db"
