"""A job with the real Triton and a simulated engine, from the frozen code."""

from pathlib import Path

import psutil
import pytest
from slurm_user import User

from er.cluster.base import State

SHORT = ["deployment=a", "load.concurrency=[1]", "load.requests_at_least=8"]


@pytest.mark.embedded
def test_a_job_measures_and_leaves_nothing_behind(user: User) -> None:
    user.run(*SHORT)
    [one] = user.statuses()

    user.site.wait(one.job_id, "COMPLETED", "FAILED", limit_s=150)

    [ended] = user.statuses()
    assert ended.run
    assert ended.log
    [point] = ended.run.points()
    assert (point.requests, point.errors) == (8, 0), ended.log.read_text()
    # On a busy machine the one point may be invalid, and then the job has to fail.
    assert ended.state is (State.failed if point.invalid else State.finished)
    here = str(Path.cwd())
    assert not [line for line in map(command_line, psutil.process_iter()) if here in line]


def command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
