"""One real Slurm for all tests of this folder."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from leftovers import cleared_at_death
from site_of_tests import PROGRAMS, Site, running
from slurm_user import FAST, User

from er import compose
from er.study import predicted

ROOT = Path(__file__).parents[2]


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
    with (
        small_disk() as disk,  # nodes see no later mounts
        running(tmp_path_factory.mktemp("slurm")) as site,
    ):
        site.small_disk = disk
        yield site


@contextmanager
def small_disk() -> Iterator[Path | None]:
    """A small file system of its own; None where none can be mounted.

    Not among pytest's own folders: where tests are killed, all later ones failed to remove it.
    """
    folder = Path(tempfile.mkdtemp(prefix="er-small-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, check=False).returncode:
        yield None
        folder.rmdir()
        return
    try:
        with cleared_at_death(folder, mounted=True):
            yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def warm_up(folder: Path) -> None:
    """Compile the simulation: every frozen copy of the code takes the machine code with it. One
    process of the tests compiles, the others take what it made."""
    [config] = compose.plan([*FAST, f"runs_dir={folder}", f"cache_dir={ROOT / '.cache'}"])
    (ROOT / ".cache").mkdir(exist_ok=True)
    with (ROOT / ".cache" / "compiling.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        predicted.points(config, [1])


@pytest.fixture
def site(whole_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """It, for one test, whose jobs are gone afterwards; commands run in the test's folder."""
    for name, value in whole_site.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    yield whole_site
    whole_site.end_jobs(tmp_path)


@pytest.fixture
def user(site: Site, cache_dir: Path) -> User:
    """Someone who uses the site."""
    return User(site, cache_dir)
