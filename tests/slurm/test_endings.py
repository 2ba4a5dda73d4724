"""Jobs on the real clock that Slurm or a node ends: what was measured stays, and nothing else.

The real Triton with simulated engines, from the frozen code.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest
from slurm_user import (
    User,
    command_line,
    controller_down,
    networks_of,
    requests_under_way,
    until,
)

from er.cluster.base import State, Status
from er.results.run_dir import RunDir

pytestmark = pytest.mark.embedded

# Points of two to four seconds: one of them is being measured whenever the end comes.
SHORT_POINTS = [
    f"load.concurrency=[{','.join(map(str, range(1, 41)))}]",
    "load.requests_at_least=4",
    "load.requests_per_user=2",
    "load.gateway_probes=0",
    "load.min_concurrency=0.1",  # a busy machine makes no point invalid
]
# Slurm looks at limits every 30 s, and sends TERM at the last look before it is due: 18 to 48 s
# after the start of the job. A point may begin for as long.
ONE_MINUTE = ["time_limit_min=1", "stop_before_s=12", "finish_requests_s=10"]

# The second where er sees its servers go before it gets TERM.
ENDED_EARLY = ("interrupted", "failed")


def test_before_a_real_time_limit_requests_end_and_the_next_job_goes_on(user: User) -> None:
    limits = [f"cluster.{limit}" for limit in ONE_MINUTE]
    user.run("deployment=a", *SHORT_POINTS, *limits, "cluster.sbatch=[--hold]")
    [one] = user.statuses()
    with controller_down(user.site):
        pass  # it looks at limits 30 s after this start: by then the job has points
    user.site.call("scontrol", "release", one.job_id)

    user.site.wait(one.job_id, "FAILED")

    [ended] = user.statuses()
    assert ended.run, log_of(ended)
    assert (ended.state, ended.detail) == (State.stopped, ""), log_of(ended)
    assert f"JOB {one.job_id} ON n1 CANCELLED AT" in log_of(ended)  # by Slurm
    assert ended.run.status() == "interrupted"
    kept = valid_points(ended.run)
    last = ended.run.points()[-1]
    assert not last.invalid or "interrupted after" in last.invalid[-1]
    requests = ended.run.requests()
    sent = sorted(requests[requests.concurrency == last.concurrency]["index"])
    assert (last.errors, sent) == (0, list(range(len(sent))))  # all have been answered
    assert not processes_here()

    user.run("deployment=a", *SHORT_POINTS)  # a longer limit makes no other job of it
    again = user.wait_for_points(count=len(kept) + 1)

    [going_on] = user.statuses()
    assert going_on.job_id != one.job_id
    assert again == ended.run
    assert "taken from" in log_of(going_on)
    assert [vars(point) for point in again.points()][: len(kept)] == kept


def test_plain_scancel_keeps_what_was_measured(user: User) -> None:
    user.run("deployment=a", *SHORT_POINTS)
    one, run = in_its_second_point(user)

    user.site.call("scancel", one.job_id)
    user.site.wait(one.job_id, "CANCELLED")

    [ended] = user.statuses()
    assert (ended.state, ended.detail) == (State.stopped, "cancelled"), log_of(ended)
    assert valid_points(run)
    assert run.status() in ENDED_EARLY
    assert not processes_here()


def test_the_second_node_of_a_job_dies(user: User) -> None:
    networks = networks_of(user)
    two_nodes = ["deployment=e", "cluster.nodes=2", "cluster.requeue=false"]
    user.run(*two_nodes, *SHORT_POINTS)
    one, run = in_its_second_point(user)
    assert one.node == "n[1-2]"
    there = map(psutil.Process, networks.pids("n2"))
    memory_there = memory_named_by(map(command_line, there))
    memory_here = memory_named_by(processes_here()) - memory_there

    user.site.kill_whole_node("n2")
    try:
        user.site.call("scontrol", "update", "nodename=n2", "state=down", "reason=died")
        user.site.wait(one.job_id, "NODE_FAIL")
        until(lambda: not processes_here() or None, "end of what ran on the first node", 40)
        [ended] = user.statuses()
    finally:
        for path in memory_left(memory_there):
            path.unlink()  # that of a node goes with it
        user.site.start_node("n2")

    assert (ended.state, ended.detail) == (State.lost, "node fail"), log_of(ended)
    assert "Node failure on n2" in log_of(ended)
    assert valid_points(run)
    assert run.status() in ENDED_EARLY
    assert len(memory_here) == len(memory_there) == 1
    assert not memory_left(memory_here)


def in_its_second_point(user: User) -> tuple[Status, RunDir]:
    """The job that runs, and its run, once requests of its second point have ended."""
    run = user.wait_for_points()
    until(lambda: requests_under_way(run, 2) or None, "request of the second point")
    [one] = user.statuses()
    return one, run


def valid_points(run: RunDir) -> list[dict[str, object]]:
    """The points that stay: all but the last, which may be whole too, and at least one."""
    *before, last = run.points()
    assert before or not last.invalid
    assert not any(point.invalid for point in before)
    return [vars(point) for point in run.points() if not point.invalid]


def log_of(one: Status) -> str:
    """What a job printed."""
    return one.log.read_text() if one.log else ""


def processes_here() -> list[str]:
    """What still runs of jobs that were submitted here."""
    here = str(Path.cwd())
    return [line for line in map(command_line, psutil.process_iter()) if here in line]


def memory_named_by(lines: Iterable[str]) -> set[str]:
    """The prefixes of the shared memory of servers among these command lines."""
    return set(re.findall(r"shm-region-prefix-name=(\w+)", " ".join(lines)))


def memory_left(prefixes: set[str]) -> list[Path]:
    """What there is of shared memory with such a prefix."""
    return [path for prefix in prefixes for path in Path("/dev/shm").glob(f"{prefix}*")]
