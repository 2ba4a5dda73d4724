"""Submit and walk away, on a real Slurm; the deployments are predicted on a virtual clock."""

import json
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from slurm_user import FAST, LONG, User, command, until

from er import build, cancel, collect, status
from er.cluster.base import State, Status


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
    assert shown[shown.rindex("deployment") :].count("finished") == 2
    assert command(monkeypatch, collect.main, "ladder", "--follow") == 0

    collected = capsys.readouterr().out
    assert "published" in collected
    assert Path("runs/figures/fig4-predicted.png").exists(), collected
    assert "fig4 " in collected  # a verdict
    assert "report: runs/figures/report-ladder-predicted.html\n" in collected
    assert command(monkeypatch, collect.main) == 0
    assert "report-ladder-predicted.html, there already" in capsys.readouterr().out
    submitted = list(Path("runs/ladder/jobs").glob("*/*/intent.json"))

    assert user.run(*fig4) == 0
    assert "nothing new is submitted" in capsys.readouterr().out
    assert list(Path("runs/ladder/jobs").glob("*/*/intent.json")) == submitted

    before = commands_of_runs()
    assert command(monkeypatch, collect.main) == 0
    [later] = commands_of_runs()  # both runs are of the newest command, which found them there
    assert [later] > before


def commands_of_runs() -> list[str]:
    """The last commands that had the runs of the study."""
    records = [json.loads(file.read_text()) for file in Path("runs/ladder").glob("*/run.json")]
    return sorted({record["tags"]["er.sweep"] for record in records})


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
    until_begun_again(user, again)
    until(lambda: taken_twice(again), "second resumption")

    assert command(monkeypatch, cancel.main, "single", "--now") == 0
    user.site.wait(again.job_id, "CANCELLED")
    [ended] = user.statuses()
    assert (ended.state, ended.detail) == (State.stopped, "cancelled")


def until_begun_again(user: User, one: Status) -> None:
    """Slurm holds a requeued job for two minutes, from when all of it has ended. One that starts
    within the second of that end is killed: slurmd takes it for the one before."""
    user.site.wait(one.job_id, "PENDING")
    time.sleep(2)

    def begun() -> str | None:
        with suppress(subprocess.CalledProcessError):  # it runs already
            user.site.call("scontrol", "update", f"jobid={one.job_id}", "starttime=now")
        return log_with("restarts: 1", one)

    until(begun, "second start")


def log_with(words: str, one: Status) -> str | None:
    """The log of a job, once it says this."""
    text = one.log.read_text() if one.log and one.log.exists() else ""
    return text if words in text else None


def taken_twice(one: Status) -> bool | None:
    """Whether a job has gone on from points on disk twice; None until then."""
    return (log_with("taken from", one) or "").count("taken from") == 2 or None


def test_no_point_is_begun_that_would_not_end_in_time(user: User) -> None:
    # Newer versions of Slurm set it; 180 s of it are cluster.stop_before_s. What is left is enough
    # for a slow machine to begin, and too little for a fast one to end.
    soon = "export SLURM_JOB_END_TIME=$(($(date +%s) + 202))"
    longer = f"load.concurrency=[{','.join(map(str, range(200, 400)))}]"
    user.run(*LONG, longer, f"cluster.setup=['{soon}']")
    [one] = user.statuses()

    user.site.wait(one.job_id, "FAILED")

    [stopped] = user.statuses()
    assert stopped.state is State.out_of_time
    assert stopped.run
    assert 0 < len(stopped.run.points()) < 200
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

    assert (waits.job_id, waits.state) == (one.job_id, State.queued)
    until_begun_again(user, one)
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
    assert ended.last_line().startswith("deployment a cannot be served here: ")


def test_a_disk_that_is_full_is_named_in_the_log(user: User) -> None:
    if not user.site.small_disk:
        pytest.skip("only root can mount a small file system, where it may")
    runs = Path("runs")
    runs.symlink_to(user.site.small_disk)

    user.run(*FAST, "cluster.sbatch=[--hold]")
    [one] = user.statuses()
    free = os.statvfs(runs)
    (runs / "filler").write_bytes(b"x" * (free.f_bavail * free.f_frsize - 60_000))
    user.site.call("scontrol", "release", one.job_id)
    user.site.wait(one.job_id, "FAILED")

    [ended] = user.statuses()
    assert (ended.state, ended.detail) == (State.failed, "exit code 1")
    # Where the room ends is a matter of chance: each place says what and what to do.
    named = ("the disk is full", "No space left on device")
    assert any(words in ended.last_line() for words in named)
    assert "make room" in ended.last_line()
