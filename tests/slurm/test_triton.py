"""A job with the real Triton and a simulated engine, from the frozen code."""

import socket
from pathlib import Path

import psutil
import pytest
from slurm_user import User, until

from er import cancel
from er.cluster.base import State
from er.results.run_dir import RunDir

TWO = ["deployment=a", "load.concurrency=[1,2]", "load.requests_at_least=8"]
LONG = "load.requests_per_user=8"


@pytest.mark.embedded
def test_a_job_measures_lets_requests_end_and_leaves_nothing_behind(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.run(*TWO, LONG)
    [one] = user.statuses()
    run = user.wait_for_points(limit_s=150)
    until(lambda: requests_under_way(run, 2) > 2 or None, "measured request", limit_s=60)
    monkeypatch.setattr("sys.argv", ["er.cancel", "single"])
    cancel.main()

    user.site.wait(one.job_id, "FAILED", limit_s=60)

    [ended] = user.statuses()
    assert ended.log
    point, partial = run.points()
    assert (point.requests, point.errors) == (8, 0), ended.log.read_text()
    assert (ended.state, ended.detail) == (State.stopped, "cancelled")
    # All that was sent has been answered.
    assert partial.errors == 0
    assert any("interrupted after" in reason for reason in partial.invalid)
    assert 1 <= partial.requests < 16
    here = str(Path.cwd())
    assert not [line for line in map(command_line, psutil.process_iter()) if here in line]


def requests_under_way(run: RunDir, concurrency: int) -> int:
    """Those of a point that is being measured which have ended."""
    log = run.path / "requests" / f"c{concurrency:04d}.jsonl"
    return len(log.read_text().splitlines()) if log.exists() else 0


def command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.mark.embedded
def test_the_load_generator_on_a_node_of_its_own(user: User) -> None:
    one_point = ["deployment=a", "load.concurrency=[1]", "load.requests_at_least=8"]
    user.run(*one_point, "load.requests_per_user=8", "cluster.load_node=true")
    [one] = user.statuses()
    worker = until(worker_of_a_job, "worker", limit_s=150)
    there = worker.environ()["SLURMD_NODENAME"]
    [running] = user.statuses()

    user.site.wait(one.job_id, "COMPLETED", "FAILED", limit_s=150)

    [ended] = user.statuses()
    assert ended.log
    assert ended.run, ended.log.read_text()
    assert running.node != there
    assert ended.run.read("provenance.json")["load_node"] == there
    [endpoint] = ended.run.read("endpoints.json")
    assert endpoint["url"].startswith(f"http://{socket.gethostname()}:")
    [point] = ended.run.points()
    assert (point.requests, point.errors) == (8, 0), ended.log.read_text()
    here = str(Path.cwd())
    assert not [line for line in map(command_line, psutil.process_iter()) if here in line]
    assert worker_of_a_job() is None


def worker_of_a_job() -> psutil.Process | None:
    """A worker of the load generator that a step of Slurm started."""
    for process in psutil.process_iter():
        line = command_line(process)
        if "er.load.worker" not in line or "srun" in line:
            continue
        if "SLURMD_NODENAME" in process.environ():
            return process
    return None
