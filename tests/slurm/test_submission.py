"""What submission promises: each job once, whatever Slurm answers, and none that a site refuses."""

import os
import shutil
from pathlib import Path

import pytest
from slurm_user import FAST, User, command, controller_down, put_sbatch

from er import cancel, collect, status
from er.cluster import folder, queue, sending, slurm
from er.cluster.base import State
from er.errors import ConfigError, ErError


def test_the_same_command_while_a_job_is_queued(
    user: User, capsys: pytest.CaptureFixture[str]
) -> None:
    held = [*FAST, "cluster.sbatch=[--hold]"]
    user.run(*held)
    [first] = user.statuses()
    capsys.readouterr()

    assert user.run(*held) == 0

    assert f"queued as job {first.job_id}" in capsys.readouterr().out
    assert user.statuses() == [first]
    assert (first.state, first.detail) == (State.queued, "JobHeldUser")


def test_the_same_command_from_another_folder(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = [*FAST, "cluster.sbatch=[--hold]"]
    user.run(*held)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    [first] = slurm.read(tmp_path / "runs" / "single").found
    capsys.readouterr()

    assert user.run(*held, f"runs_dir={tmp_path / 'runs'}") == 0

    said = capsys.readouterr().out
    assert f"queued as job {first.job_id}" in said
    assert f"python -m er.status single --runs-dir {tmp_path / 'runs'}" in said
    user.run(*held, f"runs_dir={tmp_path / 'runs'}", "load.requests_per_user=3")
    assert f"other settings or deployments: {first.job_id} " in capsys.readouterr().out


def test_jobs_of_another_user_of_the_folder_are_seen(
    user: User, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = [*FAST, "cluster.sbatch=['--hold','--uid=65534','--gid=65534']"]
    with monkeypatch.context() as other:
        other.setattr(queue, "user", lambda: "65534")
        user.run(*held)
    [one] = user.statuses()
    capsys.readouterr()

    user.run(*held)

    assert one.state is State.queued
    assert f"queued as job {one.job_id}" in capsys.readouterr().out


def test_a_disk_that_is_full_when_jobs_are_submitted(user: User) -> None:
    if not user.site.small_disk:
        pytest.skip("only root can mount a small file system, where it may")
    runs = user.site.small_disk / "full"
    runs.mkdir()
    free = os.statvfs(runs)
    (runs / "filler").write_bytes(b"x" * (free.f_bavail * free.f_frsize - 1_000_000))
    try:
        with pytest.raises(ErError, match=r"cannot keep the code .*No space left.*make room"):
            user.run(*FAST, f"runs_dir={runs}", "tracking.enabled=false")
        assert not list(runs.glob("single/jobs/*/*"))
    finally:
        shutil.rmtree(runs)


def test_studies_do_not_touch_each_other(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for study in ("one", "two"):
        user.run(*FAST, f"study={study}", "cluster.sbatch=[--hold]")
    [two] = user.statuses("two")

    command(monkeypatch, cancel.main, "one")

    [one] = user.statuses("one")
    assert one.state is State.cancelled
    assert user.statuses("two") == [two]


def test_a_controller_that_is_down_is_named_and_nothing_is_submitted(user: User) -> None:
    with (
        controller_down(user.site),
        pytest.raises(ErError, match=r"sinfo .*(controller|answer)"),
    ):
        user.run(*FAST, "cluster.answer_timeout_s=2")

    assert not Path("runs/single/jobs").exists()


def test_jobs_beyond_the_limit_wait_until_there_is_room(
    user: User, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    three = ["-m", "seed=0,1,2", *FAST, "cluster.answer_timeout_s=2"]
    with controller_down(user.site) as known:  # jobs that have ended count too
        user.site.set("MaxJobCount", len(known) + 2)  # Slurm refuses the one that would reach it
        user.site.set("MaxArraySize", 2)  # fewer than there are jobs, none of which is in an array
    try:
        assert user.run(*three) == 0
        states = [one.state for one in user.statuses()]
        assert "1 of 3 jobs are submitted" in capsys.readouterr().out
        assert states.count(State.held_back) == 2

        user.run(*three)  # there is no room yet, and the first has not been sent again

        assert len(list(Path("runs").glob("single/jobs/*/*/receipt.json"))) == 1
        assert "0 of 2 jobs are submitted" in capsys.readouterr().out
        assert command(monkeypatch, status.main, "single") == 0
        assert capsys.readouterr().out.count("held back (no room)") == 2
    finally:
        with controller_down(user.site):
            user.site.set("MaxJobCount", 10_000)
            user.site.set("MaxArraySize", 1001)
    monkeypatch.setattr(collect, "EVERY_S", 0.5)

    assert command(monkeypatch, collect.main, "single", "--follow") == 0

    assert [one.state for one in user.statuses()] == [State.finished] * 3
    assert capsys.readouterr().out.count("published") == 3


def test_what_is_held_back_can_be_cancelled(
    user: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    two = ["-m", "seed=0,1", *FAST, "cluster.sbatch=[--hold]"]
    put_sbatch(tmp_path / "bin", TAKES_ONE.format(note=tmp_path / "taken"), monkeypatch)
    user.run(*two)

    assert command(monkeypatch, cancel.main, "single") == 0
    sending.submit_held_back(Path("runs/single"), print)

    [one] = user.statuses()
    assert one.state is State.cancelled


# As Slurm's own does where the user or the account has a limit (MaxSubmitJobs).
TAKES_ONE = """
[ "$1" = --test-only ] || [ ! -e {note} ] || {{
  echo 'sbatch: error: AssocMaxSubmitJobLimit' >&2
  echo 'sbatch: error: Batch job submission failed: Job violates accounting/QOS policy' >&2
  exit 1
}}
[ "$1" = --test-only ] || touch {note}
exec /usr/bin/sbatch "$@"
"""


def test_a_lost_answer_is_found_and_nothing_is_sent_twice(
    user: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lose_answers(tmp_path / "bin", monkeypatch)
    before = set(user.site.states())

    user.run(*FAST, "cluster.sbatch=[--hold]", "cluster.answer_timeout_s=2")

    [one] = user.statuses()
    assert set(user.site.states()) - before == {one.job_id}


def test_an_answer_that_nobody_can_give_is_looked_for_later(
    user: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    held = [*FAST, "cluster.sbatch=[--hold]"]
    lose_answers(tmp_path / "bin", monkeypatch)
    before = set(user.site.states())
    with monkeypatch.context() as silent:
        silent.setattr("er.cluster.sending.look_for", lambda *_: "")
        with pytest.raises(ErError, match="is not known: the same command looks for it"):
            user.run(*held, "cluster.answer_timeout_s=2")

    user.run(*held)

    [one] = user.statuses()
    assert set(user.site.states()) - before == {one.job_id}


def lose_answers(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An sbatch whose answer does not come, though Slurm has the job."""
    lost = '/usr/bin/sbatch "$@" || exit\n[ "$1" = --test-only ] || { exec sleep 30; }'
    put_sbatch(place, lost, monkeypatch)


def test_a_submission_that_never_was_is_made_anew(user: User) -> None:
    held = [*FAST, "cluster.sbatch=[--hold]"]
    user.run(*held)
    [one] = user.statuses()
    user.site.call("scancel", one.job_id)
    [attempt] = folder.newest_of_study(Path("runs/single"))
    (attempt.path / "receipt.json").unlink()
    attempt.write("intent.json", {**vars(attempt.intent), "name": "er-nobody-has-this-name"})

    user.run(*held)

    assert attempt.withdrawn
    [again] = user.statuses()
    assert (again.state, again.job_id != one.job_id) == (State.queued, True)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["cluster.time_limit_min=2000"], "low allows 1440"),
        (["cluster.partition=nowhere"], "nowhere"),
        (["cluster.account=a b"], "cluster.account is 'a b'"),
        (["cluster.sbatch=['--job-name=x']"], "er gives --job-name itself"),
        (["cluster.sbatch=['--no-such-option=1']"], "sbatch refuses"),
        (["cluster.exclusive=false"], "cluster.cpus is 0"),
    ],
)
def test_what_a_site_does_not_have_is_refused(
    user: User, overrides: list[str], message: str
) -> None:
    with pytest.raises((ConfigError, ErError), match=message):
        user.run(*FAST, *overrides)

    assert not list(Path("runs").glob("single/jobs/*/*/intent.json"))


def test_an_allocation_around_it_changes_nothing(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "SLURM_CPUS_PER_TASK": "65",
        "SLURM_JOB_ID": "1",
        "SLURM_NNODES": "9",
    }.items():
        monkeypatch.setenv(name, value)

    assert user.run(*FAST, "cluster.sbatch=[--hold]") == 0
