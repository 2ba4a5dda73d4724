"""A server under a Docker whose daemon is root's, started by a user who is not.

The container is this machine, its tritonserver the wheel's; the daemon, the client and who owns
files, ports and shared memory are as with the real Docker.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from nodes import own_container
from processes import processes_naming

from er.results.request import Endpoint
from tests.standins import dockerd
from tests.standins.waiting import eventually

USER = pwd.getpwnam("nobody").pw_uid
pytestmark = [
    pytest.mark.embedded,
    pytest.mark.skipif(
        os.getuid() != 0 or not shutil.which("setpriv"), reason="only root can be another user"
    ),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="er_docker_"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def node(folder: Path) -> Iterator[dockerd.Daemon]:
    dockerd.IMAGE_ENVIRONMENT.clear()
    own_container(folder)
    (folder / "engine").mkdir()
    (folder / "engine" / "config.json").write_text("{}")
    for name in ("hf", "run"):
        (folder / name).mkdir()
    os.chown(folder / "run", USER, USER)
    with dockerd.running(folder) as daemon:
        yield daemon


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_served_as_the_user_and_nothing_is_left(
    folder: Path, node: dockerd.Daemon, stream: Any, number: int
) -> None:
    script = Path(__file__).parent / "serve_in_docker.py"
    owner = subprocess.Popen(
        [*dockerd.as_user(USER, USER), sys.executable, script, folder],
        env={"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder / "run")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout
    with owner, owner.stdout:
        url = owner.stdout.readline().strip()
        assert url, (folder / "run" / "logs" / "triton_ensemble.log").read_text()
        shared = f"er_*_{urlsplit(url).port}_*"
        try:
            assert stream(Endpoint(url, "ensemble"), "a bb", 4).texts == ["1", "2", "1", "2"]
            assert node.users == [USER]
            assert {path.stat().st_uid for path in Path("/dev/shm").glob(shared)} == {USER}
        finally:
            owner.send_signal(number)
    assert eventually(lambda: not node.running)
    assert eventually(lambda: not list(Path("/dev/shm").glob(shared)))
    assert eventually(lambda: processes_naming(str(folder / "run" / "model_repository")) == [])
    assert {path.lstat().st_uid for path in (folder / "run").rglob("*")} == {USER}
