"""What is measured already is submitted to nobody; stand-ins take the place of Slurm."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from submitted_job import end

from er import cancel, collect, run, status
from er.cluster import folder, slurm
from er.cluster.base import State
from er.cluster.folder import Attempt
from er.results import names
from er.results.run_dir import RunDir

ROOT = Path(__file__).parents[3]
PREDICTED = ["clock=virtual", "load.requests_per_user=2", f"cache_dir={ROOT / '.cache'}"]
UNTRACKED = "tracking.enabled=false"
SLURM = [*PREDICTED, "cluster=slurm"]


def submit(capsys: pytest.CaptureFixture[str], *overrides: str) -> str:
    """What is printed of it."""
    capsys.readouterr()
    assert run.answer([*SLURM, *overrides]) == 0
    return capsys.readouterr().out


def run_in_its_job(study: str, deployment: str = "a") -> RunDir:
    """Do here what the newest job of a deployment would do on its node."""
    [attempt] = [one for one in attempts_of(study) if one.intent.deployment == deployment]
    assert run.answer([f"job={attempt.path / 'job.json'}"]) == 0
    end(attempt, 0)
    assert attempt.run
    return attempt.run


def attempts_of(study: str) -> list[Attempt]:
    return list(folder.newest_of_study(Path("runs") / study))


def sent(here: Path) -> list[str]:
    """The jobs that Slurm was given."""
    calls = (here / "sent").read_text().splitlines() if (here / "sent").exists() else []
    return [call for call in calls if "--parsable" in call]


def command(monkeypatch: pytest.MonkeyPatch, main: object, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["er", *words])
    return main()  # type: ignore[operator,no-any-return]


def test_points_of_another_study_are_taken_without_a_job(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Measured on a laptop or in a job; the second study has fewer points."""
    run.answer([*PREDICTED, "study=one", "load.concurrency=[1,2,4]", UNTRACKED])
    two = ["study=two", "load.concurrency=[1,4]"]

    assert run.answer([*SLURM, *two, "dry=true"]) == 0
    shown = capsys.readouterr()
    assert "measured already, so that no job is needed: runs/one/a-" in shown.err
    assert "0 jobs would be submitted" in shown.err
    assert not Path("runs/two").exists()

    said = submit(capsys, *two)

    assert "all is measured already in runs/one/a-" in said
    assert "no job is needed" in said
    assert "nothing new is submitted" in said
    assert sent(here) == []
    [one] = slurm.read(Path("runs/two")).found
    assert (one.state, [point.concurrency for point in one.points]) == (State.finished, [1, 4])
    assert one.own_points == []
    assert command(monkeypatch, status.main, "two") == 0
    shown_status = capsys.readouterr().out
    assert "no job was needed: all is taken from runs/one/a-" in shown_status
    assert "2 of 2" in shown_status
    assert command(monkeypatch, cancel.main, "two") == 0
    assert "no job of two is queued or running" in capsys.readouterr().out

    assert "finished in runs/two/a-" in submit(capsys, *two)
    assert len(list(Path("runs/two/jobs").glob("*/*/intent.json"))) == 1
    assert command(monkeypatch, collect.main, "two") == 0
    first = capsys.readouterr().out
    assert command(monkeypatch, collect.main, "two") == 0
    again = capsys.readouterr().out
    assert ("published " in first, ", there already" in first) == (True, False)
    assert ("published " in again, ", there already" in again) == (False, True)


@pytest.mark.parametrize(
    "others",
    [["load.concurrency=[1,8]"], ["load.concurrency=[1]", "load.requests_per_user=3"]],
    ids=["another-point", "another-key"],
)
def test_a_job_that_has_something_to_measure_is_submitted(
    here: Path, capsys: pytest.CaptureFixture[str], others: Sequence[str]
) -> None:
    run.answer([*PREDICTED, "study=one", "load.concurrency=[1,2]", UNTRACKED])

    assert "submitted " in submit(capsys, "study=two", UNTRACKED, *others)

    assert len(sent(here)) == 1


def test_with_resume_false_all_is_measured_anew(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run.answer([*PREDICTED, "study=one", "load.concurrency=[1]", UNTRACKED])

    submit(capsys, "study=one", "load.concurrency=[1]", UNTRACKED, "resume=false")

    assert len(sent(here)) == 1


def test_runs_of_one_command_stay_together_when_some_are_measured_again(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Figures show the runs of the newest command."""
    both = ["-m", "deployment=a,e", "study=one", "load.concurrency=[1]", UNTRACKED]
    submit(capsys, *both)
    [failed] = [one for one in attempts_of("one") if one.intent.deployment == "e"]
    end(failed, 1)
    run_in_its_job("one", "a")

    said = submit(capsys, *both)

    commands = set()
    assert "finished in runs/one/a-" in said
    assert len(sent(here)) == 3
    run_in_its_job("one", "e")
    for attempt in attempts_of("one"):
        assert attempt.run
        collect.count_for_later_command(attempt.run, attempt.command)
        commands.add(attempt.run.read(names.RECORD)["tags"]["er.sweep"])
    assert len(commands) == 1


def test_each_folder_has_a_store_of_its_own_within_one_process(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two collected studies of the same relative address, as in two tests of one process."""
    for place in ("first", "second"):
        (here / place).mkdir()
        monkeypatch.chdir(here / place)
        submit(capsys, "load.concurrency=[1]", "figures=[fig4]", "study=mine")
        run_in_its_job("mine")

        assert command(monkeypatch, collect.main, "mine") == 0

        assert "figure: runs/figures/fig4-mine-predicted.png" in capsys.readouterr().out
        assert Path("runs/mlflow.db").exists()
        assert Path("runs/figures/fig4-mine-predicted.png").exists()
