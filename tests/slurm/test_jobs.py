"""Submit and walk away, on a real Slurm; the deployments are predicted on a virtual clock."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from site_of_tests import Site
from slurm_user import FAST, LONG, User, until

from er import build, cancel, collect, status
from er.cluster import folder, sending
from er.cluster.base import State, Status
from er.errors import ConfigError, ErError


def command(monkeypatch: pytest.MonkeyPatch, main: object, *arguments: str) -> int:
    """A command that takes its words from the command line."""
    monkeypatch.setattr("sys.argv", ["er", *arguments])
    return main()  # type: ignore[operator,no-any-return]


def test_submit_status_collect_and_the_figure(
    user: User, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fig4 = ["+experiment=fig4", "deployment=a,e", *FAST]
    before = user.site.states()

    assert user.run(*fig4, "dry=true") == 0
    assert capsys.readouterr().out.count("#SBATCH --job-name=") == 2
    assert (user.site.states(), Path("runs/ladder/jobs").exists()) == (before, False)

    assert user.run(*fig4) == 0
    assert capsys.readouterr().out.count("submitted ") == 2
    monkeypatch.setattr(status, "WATCH_EVERY_S", 0.5)
    assert command(monkeypatch, status.main, "--watch") == 0
    shown = capsys.readouterr().out
    assert any(word in shown for word in ("queued", "running"))
    assert shown[shown.rindex("last line") :].count("finished") == 2
    assert command(monkeypatch, collect.main, "ladder", "--follow") == 0

    assert "published" in capsys.readouterr().out
    assert Path("runs/figures/fig4-predicted.png").exists()
    submitted = list(Path("runs/ladder/jobs").glob("*/*/intent.json"))

    assert user.run(*fig4) == 0
    assert "nothing new is submitted" in capsys.readouterr().out
    assert list(Path("runs/ladder/jobs").glob("*/*/intent.json")) == submitted


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


def test_cancelled_and_requeued_it_measures_only_what_is_missing(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.run(*LONG)
    measured = user.wait_for_points()
    [one] = user.statuses()

    assert command(monkeypatch, cancel.main, "single") == 0
    user.site.wait(one.job_id, "FAILED")
    [stopped] = user.statuses()
    kept = len(measured.points())

    assert (stopped.state, stopped.detail) == (State.stopped, "cancelled")
    assert measured.status() == "interrupted"
    assert 1 <= kept < 60

    user.run(*LONG)
    [again] = user.statuses()
    assert again.job_id != one.job_id
    until(lambda: log_with("taken from", again), "resumption")

    user.site.call("scontrol", "requeue", again.job_id)
    user.site.wait(again.job_id, "PENDING")
    user.site.call("scontrol", "update", f"jobid={again.job_id}", "starttime=now")
    until(lambda: log_with("restarts: 1", again), "second start")
    until(lambda: taken_twice(again), "second resumption")

    assert command(monkeypatch, cancel.main, "single", "--now") == 0
    user.site.wait(again.job_id, "CANCELLED")
    [ended] = user.statuses()
    assert (ended.state, ended.detail) == (State.stopped, "cancelled")


def log_with(words: str, one: Status) -> str | None:
    """The log of a job, once it says this."""
    text = one.log.read_text() if one.log and one.log.exists() else ""
    return text if words in text else None


def taken_twice(one: Status) -> bool | None:
    """Whether a job has gone on from points on disk twice; None until then."""
    return (log_with("taken from", one) or "").count("taken from") == 2 or None


def test_no_point_is_begun_that_would_not_end_in_time(user: User) -> None:
    soon = "export SLURM_JOB_END_TIME=$(($(date +%s) + 192))"  # newer versions of Slurm set it
    user.run(*LONG, f"cluster.setup=['{soon}']")  # 180 s of it are cluster.stop_before_s
    [one] = user.statuses()

    user.site.wait(one.job_id, "FAILED")

    [stopped] = user.statuses()
    assert stopped.state is State.out_of_time
    assert stopped.run
    assert 0 < len(stopped.run.points()) < 60
    assert not any(point.invalid for point in stopped.run.points())


def test_preempted_it_goes_on_later(user: User, tmp_path: Path) -> None:
    user.run(*LONG)
    user.wait_for_points()
    [one] = user.statuses()
    urgent = tmp_path / "urgent.sh"
    urgent.write_text("#!/bin/sh\nsleep 1\n")

    options = ["--partition=high", "--exclusive", "--nodes=4", "--output=/dev/null"]
    job_id = user.site.call("sbatch", "--parsable", *options, str(urgent)).strip()
    user.site.wait(job_id, "COMPLETED")
    [waits] = user.statuses()
    user.site.call("scontrol", "update", f"jobid={one.job_id}", "starttime=now")

    assert (waits.job_id, waits.state) == (one.job_id, State.queued)
    assert "restarts: 1" in until(lambda: log_with("taken from", one), "resumption")


def test_a_node_that_dies_is_told(user: User) -> None:
    user.run(*LONG, "cluster.requeue=false")
    measured = user.wait_for_points()
    [one] = user.statuses()
    user.site.kill_node(one.node, one.job_id, str(Path.cwd()))
    try:
        user.site.call("scontrol", "update", f"nodename={one.node}", "state=down", "reason=died")
        user.site.wait(one.job_id, "NODE_FAIL")
        [lost] = user.statuses()
    finally:
        user.site.start_node(one.node)

    assert (lost.state, lost.detail) == (State.lost, "node fail")
    assert lost.run == measured
    assert measured.status() == "interrupted"


def test_a_job_that_dies_does_not_stop_the_others(
    user: User, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    user.run(*LONG, "deployment=a")
    user.run(*FAST, "deployment=e")
    until(lambda: pid_of("a-"), "process").kill()

    for one in user.statuses():
        user.site.wait(one.job_id, "FAILED" if one.deployment == "a" else "COMPLETED")
    found = {one.deployment: one for one in user.statuses()}

    assert found["e"].state is State.finished
    assert (found["a"].state, found["a"].detail) == (State.failed, "exit code 137")
    capsys.readouterr()
    assert command(monkeypatch, collect.main) == 1
    assert "failed (exit code 137)" in capsys.readouterr().out


def pid_of(place: str) -> psutil.Process | None:
    """The process of er in a job."""
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        jobs = f"job={Path.cwd()}/runs/single/jobs/{place}"
        if "er.run" in line and any(word.startswith(jobs) for word in line):
            return process
    return None


def test_the_preflight_of_a_node_runs_as_a_job(
    user: User, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [f"cache_dir={user.cache_dir}", "cluster=slurm"]

    assert build.run_command(["action=preflight", "deployment=a", *places]) == 0

    [one] = user.statuses()
    assert f"job {one.job_id}" in capsys.readouterr().out
    user.site.wait(one.job_id, "FAILED")  # this node has no GPU
    [ended] = user.statuses()
    assert ended.log
    assert "MISSING GPUs" in ended.log.read_text()


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
    three = ["-m", "seed=0,1,2", *FAST, "cluster.answer_timeout_s=3"]
    with controller_down(user.site) as known:  # jobs that have ended count too
        user.site.set("MaxJobCount", len(known) + 1)
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


@contextmanager
def controller_down(site: Site) -> Iterator[dict[str, str]]:
    """Slurm's controller is away while the block lasts; the states of the jobs it knew."""
    states = site.states()
    site.stop("slurmctld")
    try:
        yield states
    finally:
        site.start_controller()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small file system")
def test_a_disk_that_is_full_is_named_in_the_log(user: User) -> None:
    Path("runs").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", "runs"]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("this container may not mount")
    try:
        user.run(*FAST, "cluster.sbatch=[--hold]")
        [one] = user.statuses()
        free = os.statvfs("runs")
        Path("runs/filler").write_bytes(b"x" * (free.f_bavail * free.f_frsize - 60_000))
        user.site.call("scontrol", "release", one.job_id)
        user.site.wait(one.job_id, "FAILED")

        [ended] = user.statuses()
        assert (ended.state, ended.detail) == (State.failed, "exit code 1")
        assert "the disk is full: make room and run again" in ended.last_line()
    finally:
        subprocess.run(["umount", "--lazy", "runs"], check=True)


def test_a_lost_answer_is_found_and_nothing_is_sent_twice(
    user: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lose_answers(tmp_path / "bin", monkeypatch)
    before = set(user.site.states())

    user.run(*FAST, "cluster.sbatch=[--hold]", "cluster.answer_timeout_s=3")

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
            user.run(*held, "cluster.answer_timeout_s=3")

    user.run(*held)

    [one] = user.statuses()
    assert set(user.site.states()) - before == {one.job_id}


def lose_answers(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An sbatch whose answer does not come, though Slurm has the job."""
    lost = '/usr/bin/sbatch "$@" || exit\n[ "$1" = --test-only ] || { exec sleep 30; }'
    put_sbatch(place, lost, monkeypatch)


def put_sbatch(place: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell script in place of sbatch."""
    place.mkdir()
    script = place / "sbatch"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin:/usr/sbin")


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
