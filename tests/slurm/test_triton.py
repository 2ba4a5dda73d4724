"""A job with the real Triton and a simulated engine, from the frozen code."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from slurm_user import User, command_line, until

from er import cancel
from er.cluster.base import State
from er.results.run_dir import RunDir

TWO = ["deployment=a", "load.concurrency=[1,2]", "load.requests_at_least=8"]
LONG = "load.requests_per_user=8"


@pytest.mark.embedded
@pytest.mark.parametrize("elsewhere", [False, True], ids=["one_node", "load_node"])
def test_a_job_measures_lets_requests_end_and_leaves_nothing_behind(
    user: User, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    user.run(*TWO, LONG, f"cluster.load_node={elsewhere}")
    [one] = user.statuses()
    run = user.wait_for_points(limit_s=150)
    until(lambda: requests_under_way(run, 2) > 2 or None, "measured request", limit_s=60)
    [running] = user.statuses()
    workers_node = nodes_of_workers().pop()
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
    assert (workers_node != running.node) is elsewhere
    assert run.read("provenance.json").get("load_node", running.node) == workers_node
    [endpoint] = run.read("endpoints.json")
    host = socket.gethostname() if elsewhere else "127.0.0.1"
    assert urlsplit(endpoint["url"]).hostname == host
    here = str(Path.cwd())
    assert not [line for line in map(command_line, psutil.process_iter()) if here in line]
    assert not nodes_of_workers()


def requests_under_way(run: RunDir, concurrency: int) -> int:
    """Those of a point that is being measured which have ended."""
    log = run.path / "requests" / f"c{concurrency:04d}.jsonl"
    return len(log.read_text().splitlines()) if log.exists() else 0


def nodes_of_workers() -> set[str]:
    """Where workers of the load generator are, of jobs of the tests' Slurm."""
    found = set()
    for process in psutil.process_iter():
        line = command_line(process)
        try:
            if "er.load.worker" in line and "srun" not in line:
                found.add(process.environ().get("SLURMD_NODENAME", ""))
        except psutil.Error:
            continue
    return found - {""}
