"""One real Slurm for all tests of this folder."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from site_of_tests import PROGRAMS, Site, running

from er import compose, run
from er.cluster import folder, slurm
from er.cluster.base import Status
from er.results.run_dir import RunDir
from er.study import predicted

ROOT = Path(__file__).parents[2]
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
        return slurm.status(Path("runs") / study)

    def wait_for_points(self, study: str = "single", count: int = 1) -> RunDir:
        """The run of its only job, once that many points are there."""
        return until(lambda: self._run_with(study, count), f"{count} points")

    def _run_with(self, study: str, count: int) -> RunDir | None:
        [attempt] = folder.newest_of_study(Path("runs") / study)
        made = attempt.run
        return made if made and len(made.points()) >= count else None


def until(look: Callable[[], T | None], what: str, limit_s: float = 60) -> T:
    """What `look` finds, once it does."""
    deadline_s = time.monotonic() + limit_s
    while (found := look()) is None:
        assert time.monotonic() < deadline_s, f"no {what} within {limit_s} s"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="session")
def whole_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """It, as long as the tests last."""
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        why = f"{', '.join(missing)} missing: apt-get install slurmctld slurmd slurm-client munge"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    warm_up(tmp_path_factory.mktemp("warm"))
    with running(tmp_path_factory.mktemp("slurm")) as site:
        yield site


def warm_up(folder: Path) -> None:
    """Compile the simulation: every frozen copy of the code takes the machine code with it."""
    [config] = compose.plan([*FAST, f"runs_dir={folder}", f"cache_dir={ROOT / '.cache'}"])
    predicted.points(config, [1])


@pytest.fixture
def site(whole_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """It, for one test, whose jobs are gone afterwards; commands run in the test's folder."""
    for name, value in whole_site.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    yield whole_site
    whole_site.call("scancel", "--signal=KILL", "--full", f"--user={psutil.Process().username()}")
    whole_site.call("scancel", f"--user={psutil.Process().username()}")


@pytest.fixture
def user(site: Site, cache_dir: Path) -> User:
    """Someone who uses the site."""
    return User(site, cache_dir)
