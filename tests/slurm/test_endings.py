"""Jobs on the real clock that Slurm or a node ends: what was measured stays, and nothing else.

The real Triton with simulated engines, from the frozen code.
"""

import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
import pytest
from site_of_tests import Site
from slurm_user import (
    User,
    command_line,
    controller_down,
    networks_of,
    requests_under_way,
    until,
)

from er.cluster import folder
from er.cluster.base import State, Status
from er.load import other_nodes
from er.results.run_dir import RunDir

pytestmark = pytest.mark.embedded

# Points of two to four seconds: one of them is being measured whenever the end comes.
SHORT_POINTS = [
    f"load.concurrency=[{','.join(map(str, range(1, 41)))}]",
    "load.requests_at_least=4",
    "load.requests_per_user=2",
    "load.gateway_probes=0",
    # A busy machine makes few points invalid.
    "load.min_concurrency=0.1",
    "load.max_loop_lag_s=10",
    "load.max_token_lateness=1",
]
# Slurm looks at limits every 30 s, and sends TERM at the last look before it is due: 18 to 48 s
# after the start of the job. A point may begin for as long.
ONE_MINUTE = ["time_limit_min=1", "stop_before_s=12", "finish_requests_s=10"]

TWO_EXPERTS = ["deployment=e", "deployment.experts=2", "routing.policy=random"]

# The second where er sees its servers go before it gets TERM.
ENDED_EARLY = ("interrupted", "failed")


# How long a node may be silent, and how long it is then asked.
IMPATIENT_S = (3.0, 4.0)
IMPATIENT = f"""
import sys
if "er.run" in sys.orig_argv:
    from er.load import other_nodes
    other_nodes.SILENT_S, other_nodes.ASK_TIMEOUT_S = {IMPATIENT_S}
"""


@pytest.fixture(scope="module")
def limited(
    whole_site: Site, cache_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Where a job with a time limit was submitted, at which Slurm looks while other tests run."""
    place = tmp_path_factory.mktemp("limited")
    user = User(whole_site, cache_dir)
    limits = [f"cluster.{limit}" for limit in ONE_MINUTE]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for name, value in whole_site.environment.items():
            patch.setenv(name, value)
        with controller_down(whole_site):
            pass  # it looks at limits 30 s after this start: by then the job has points
        user.run("deployment=a", *SHORT_POINTS, *limits, "cluster.sbatch=['--nodelist=n4']")
    yield place
    whole_site.end_jobs(place)


@pytest.mark.usefixtures("limited")
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


@pytest.mark.usefixtures("limited")
def test_the_second_node_of_a_job_dies(user: User) -> None:
    networks_of(user)
    user.run(*TWO_EXPERTS, "cluster.nodes=2", "cluster.requeue=false", *SHORT_POINTS)
    one, run = in_its_second_point(user)
    assert one.node == "n[1-2]"
    memory_there = memory_named_by(map(command_line, processes_on(user, "n2")))
    memory_here = memory_named_by(processes_here()) - memory_there

    user.site.kill_whole_node("n2")
    try:
        user.site.call("scontrol", "update", "nodename=n2", "state=down", "reason=died")
        user.site.wait(one.job_id, "NODE_FAIL")
        until(lambda: not processes_here() or None, "end of what ran on the first node")
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


@pytest.mark.usefixtures("limited")
def test_a_job_gives_up_on_a_node_that_died_before_slurm_notices(
    user: User, tmp_path: Path
) -> None:
    """Once the node has been silent, and was asked, for as long as it may be."""
    assert other_nodes.SILENT_S + other_nodes.ASK_TIMEOUT_S <= 16
    networks_of(user)
    (tmp_path / "sitecustomize.py").write_text(IMPATIENT)
    impatient = f"cluster.setup=['export PYTHONPATH={tmp_path}']"
    user.run(*TWO_EXPERTS, "cluster.nodes=2", "cluster.requeue=false", *SHORT_POINTS, impatient)
    one, run = in_its_second_point(user)
    [attempt] = folder.newest_of_study(Path("runs/single"))
    memory_there = memory_named_by(map(command_line, processes_on(user, "n2")))

    user.site.kill_whole_node("n2")
    died_s = time.monotonic()
    try:
        until(lambda: attempt.exit_code, "exit code of er", limit_s=100)  # Slurm takes 120 s
        print(f"er ended {time.monotonic() - died_s:.1f} s after the node")
        assert user.site.states()[one.job_id] != "NODE_FAIL"
    finally:
        user.site.call("scontrol", "update", "nodename=n2", "state=down", "reason=died")
        for path in memory_left(memory_there):
            path.unlink()  # that of a node goes with it
        user.site.start_node("n2")

    user.site.wait(one.job_id, "FAILED", "NODE_FAIL")
    [ended] = user.statuses()
    assert attempt.exit_code == 1
    assert ended.state is State.lost
    assert "node n2 does not answer any more" in log_of(ended)
    assert attempt.lost_nodes == ["n2"]
    first, *_, last = run.points()
    assert (first.requests, first.errors) == (4, 0)
    assert any("node n2 does not answer any more" in reason for reason in last.invalid)
    until(lambda: not processes_here() or None, "end of what ran on the first node")


def test_after_a_real_time_limit_the_next_job_goes_on(
    user: User, limited: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(limited)
    [one] = user.statuses()

    user.site.wait(one.job_id, "FAILED")

    [ended] = user.statuses()
    assert ended.run, log_of(ended)
    assert (ended.state, ended.detail) == (State.stopped, ""), log_of(ended)
    assert f"JOB {one.job_id} ON n4 CANCELLED AT" in log_of(ended)  # by Slurm
    assert ended.run.status() == "interrupted"
    kept = valid_points(ended.run)
    last = ended.run.points()[-1]
    requests = ended.run.requests()
    sent = sorted(requests[requests.concurrency == last.concurrency]["index"])
    assert (last.errors, sent) == (0, list(range(len(sent))))  # all have been answered
    assert not processes_here()

    invalid = any(point.invalid for point in ended.run.points())

    user.run("deployment=a", *SHORT_POINTS)  # a longer limit makes no other job of it
    [going_on] = user.statuses()
    assert going_on.job_id != one.job_id
    again = until(lambda: going_on_run(user), "new point")
    user.site.end_jobs(limited)

    assert again == ended.run
    assert "taken from" in log_of(going_on)
    assert ("measures again" in log_of(going_on)) == invalid
    points = [vars(point) for point in again.points()]
    assert all(point in points for point in kept)


def going_on_run(user: User) -> RunDir | None:
    """The run, once the job that goes on has measured something itself."""
    [one] = user.statuses()
    return one.run if "taken from" in log_of(one) and one.own_points else None


def in_its_second_point(user: User) -> tuple[Status, RunDir]:
    """The job that runs, and its run, once requests of its second point have ended."""
    run = user.wait_for_points()
    until(lambda: requests_under_way(run, 2) or None, "request of the second point")
    [one] = user.statuses()
    return one, run


def valid_points(run: RunDir) -> list[dict[str, object]]:
    """The points that stay, at least one; no other than the last was interrupted, and a busy
    machine may have made some invalid."""
    points = run.points()
    interrupted = [any("interrupted" in reason for reason in p.invalid) for p in points]
    assert not any(interrupted[:-1])
    valid = [vars(point) for point in points if not point.invalid]
    assert valid
    return valid


def log_of(one: Status) -> str:
    """What a job printed."""
    return one.log.read_text() if one.log and one.log.exists() else ""


def processes_on(user: User, node: str) -> list[psutil.Process]:
    """What runs on a node."""
    return list(map(psutil.Process, networks_of(user).pids(node)))


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
