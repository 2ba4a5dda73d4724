"""Someone who submits, and what is waited for."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from networks import Networks
from site_of_tests import Site

from er import run
from er.cluster import folder, slurm
from er.cluster.base import Status
from er.results.run_dir import RunDir

T = TypeVar("T")
FAST = ["clock=virtual", "load.concurrency=[1,2,4]", "load.requests_per_user=2"]
# Some twenty seconds of a virtual clock's work, in points of about a second.
LONG = ["clock=virtual", f"load.concurrency=[{','.join(map(str, range(200, 260)))}]"]


@dataclass
class User:
    """Someone at a login node; all that is made is below the working directory."""

    site: Site
    cache_dir: Path

    def run(self, *overrides: str) -> int:
        """`python -m er.run OVERRIDES cluster=slurm`."""
        places = [f"cache_dir={self.cache_dir}", "cluster=slurm"]
        return run.answer([*overrides, *places])

    def statuses(self, study: str = "single") -> list[Status]:
        """Of its jobs."""
        jobs = slurm.read(Path("runs") / study)
        assert not jobs.silence, jobs.silence
        return jobs.found

    def wait_for_points(
        self, study: str = "single", count: int = 1, limit_s: float = 120
    ) -> RunDir:
        """The run of its only job, once that many points are there."""
        return until(lambda: self._run_with(study, count), f"{count} points", limit_s)

    def _run_with(self, study: str, count: int) -> RunDir | None:
        [attempt] = folder.newest_of_study(Path("runs") / study)
        made = attempt.run
        return made if made and len(made.points()) >= count else None


def until(look: Callable[[], T | None], what: str, limit_s: float = 120) -> T:
    """What `look` finds, once it does."""
    deadline_s = time.monotonic() + limit_s
    while (found := look()) is None:
        assert time.monotonic() < deadline_s, f"no {what} within {limit_s} s"
        time.sleep(0.1)
    return found


def requests_under_way(run: RunDir, concurrency: int) -> int:
    """Those of a point that is being measured which have ended."""
    log = run.path / "requests" / f"c{concurrency:04d}.jsonl"
    return len(log.read_text().splitlines()) if log.exists() else 0


def networks_of(user: User) -> Networks:
    """The networks of the nodes; the test is skipped where they cannot be made."""
    if not user.site.networks:
        if os.environ.get("CI") and not shutil.which("ip"):
            pytest.fail("ip is missing: apt-get install iproute2")
        pytest.skip("only root can make namespaces of networks and clocks, where it may")
    return user.site.networks


def command_line(process: psutil.Process) -> str:
    """Its words; empty when it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def command(monkeypatch: pytest.MonkeyPatch, main: object, *arguments: str) -> int:
    """A command that takes its words from the command line."""
    monkeypatch.setattr("sys.argv", ["er", *arguments])
    return main()  # type: ignore[operator,no-any-return]


def put_sbatch(place: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell script in place of sbatch."""
    place.mkdir()
    script = place / "sbatch"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin:/usr/sbin")


@contextmanager
def controller_down(site: Site) -> Iterator[dict[str, str]]:
    """Slurm's controller is away while the block lasts; the states of the jobs it knew."""
    states = site.states()
    site.stop("slurmctld")
    try:
        yield states
    finally:
        site.start_controller()
