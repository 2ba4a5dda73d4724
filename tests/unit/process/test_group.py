"""Whatever happens to the owner, the guard or the command, no process is left."""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest

from er.errors import ErError
from er.process import shared_memory
from er.process.group import Child, running
from tests.standins.waiting import eventually

OWNER = """
import sys, time
from pathlib import Path
from er.process.group import running
with running(["sh", "-c", sys.argv[1]], Path(sys.argv[2]), name="it", stop_timeout_s=0.5,
             shm_prefix=sys.argv[3]) as child:
    print(child.pid, child.guard.pid, flush=True)
    time.sleep(60)
"""


OWNER_BY_NAME = """
import sys, time
from pathlib import Path
from er.process import shared_memory
from er.process.group import running
prefix = shared_memory.prefix("it")
script = f"touch /dev/shm/{prefix}1 /dev/shm/{prefix}2; exec sleep 60"
with running(["sh", "-c", script], Path(sys.argv[1]), name="it", stop_timeout_s=0.5,
             shm_prefix=prefix) as child:
    print(child.pid, child.guard.pid, prefix, flush=True)
    time.sleep(60)
"""


def group(leader: int) -> list[psutil.Process]:
    """The processes that run in the group of `leader`."""
    return [process for process in psutil.process_iter() if in_group(process, leader)]


def in_group(process: psutil.Process, leader: int) -> bool:
    try:
        return os.getpgid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def ended(child: Child) -> int:
    assert eventually(lambda: child.poll() is not None)
    status = child.poll()
    assert status is not None
    return status


def shell(script: str, log_path: Path, **more: object) -> object:
    settings: dict[str, object] = {"name": "it", "stop_timeout_s": 0.5, **more}
    return running(["sh", "-c", script], log_path, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(("script", "status"), [("exit 3", 3), ("kill -9 $$", 137), ("true", 0)])
def test_exit_status_is_passed_on(tmp_path: Path, script: str, status: int) -> None:
    with shell(script, tmp_path / "log") as child:
        assert ended(child) == status


def test_environment_and_output(tmp_path: Path) -> None:
    log = tmp_path / "made" / "log"
    with shell("echo $GREETING; echo error: two >&2", log, env={"GREETING": "hello"}) as child:
        ended(child)
    assert log.read_text() == "hello\nerror: two\n"


def test_end_by_itself_is_told_with_the_lines_that_speak_of_errors(tmp_path: Path) -> None:
    script = "echo fine; echo ERROR: no disk; echo bye; exit 4"
    with shell(script, tmp_path / "log") as child:
        ended(child)
        with pytest.raises(ErError, match=r"^it stopped .* status 4: ERROR: no disk \(log: .*\)$"):
            child.require_alive()


def test_unknown_command_is_an_error_of_one_line(tmp_path: Path) -> None:
    message = r"^it was not started: cannot start no-such-program: No such file .*\(log: .*\)$"
    with (
        pytest.raises(ErError, match=message),
        running(["no-such-program"], tmp_path / "log", name="it", stop_timeout_s=1),
    ):
        pass


def test_stop_reaches_grandchildren(tmp_path: Path) -> None:
    with shell("sleep 60 & sleep 60", tmp_path / "log") as child:
        assert eventually(lambda: len(group(child.pid)) == 3)
    assert group(child.pid) == []


def test_stop_kills_what_ignores_term_after_the_grace(tmp_path: Path) -> None:
    with shell("trap '' TERM; echo ready; while :; do sleep 0.1; done", tmp_path / "log") as child:
        assert eventually(lambda: "ready" in (tmp_path / "log").read_text())
    assert group(child.pid) == []
    assert child.poll() == 128 + signal.SIGKILL


def test_orphans_are_stopped_when_the_command_ends_by_itself(tmp_path: Path) -> None:
    with shell("sleep 60 & exit 5", tmp_path / "log") as child:
        assert ended(child) == 5
        assert group(child.pid) == []


def test_an_error_in_the_block_stops_the_command(tmp_path: Path) -> None:
    with pytest.raises(KeyError), shell("sleep 60", tmp_path / "log") as child:
        raise KeyError
    assert group(child.pid) == []


def test_only_files_of_the_prefix_are_removed(tmp_path: Path) -> None:
    prefix = f"er_test_{uuid.uuid4().hex}_"
    mine = Path("/dev/shm", prefix + "1")
    other = Path("/dev/shm", "another_" + prefix)
    try:
        for path in (mine, other):
            path.touch()
        with shell("sleep 60", tmp_path / "log", shm_prefix=prefix):
            pass
        assert not mine.exists()
        with shell("sleep 60", tmp_path / "log"):
            pass
        assert other.exists()
    finally:
        other.unlink()


def test_what_others_started_is_ended_too(tmp_path: Path) -> None:
    """As a container, whose processes are the daemon's: a command of its own ends them."""
    ended_it = tmp_path / "ended"
    end = ["touch", str(ended_it)]
    with shell("trap '' TERM; echo ready; while :; do sleep 0.1; done", tmp_path / "log", end=end):
        assert eventually(lambda: "ready" in (tmp_path / "log").read_text())
        assert not ended_it.exists()
    assert ended_it.exists()
    ended_it.unlink()
    with shell("exit 3", tmp_path / "log", end=end) as child:
        ended(child)
        assert ended_it.exists()
    ended_it.unlink()
    with shell("sleep 60", tmp_path / "log", end=end) as child:
        child.guard.kill()
    assert ended_it.exists()


def test_an_end_that_cannot_be_run_is_told_and_stops_nothing_else(tmp_path: Path) -> None:
    with shell("sleep 60", tmp_path / "log", end=["no-such-program"]) as child:
        pass
    assert group(child.pid) == []
    assert "cannot run no-such-program" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_owner_that_is_killed_leaves_nothing(tmp_path: Path, number: int) -> None:
    prefix = f"er_test_{uuid.uuid4().hex}_"
    shared = Path("/dev/shm", prefix)
    script = f"touch {shared}; trap '' TERM; while :; do sleep 0.1; done"
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, script, str(tmp_path / "log"), prefix],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert owner.stdout
    with owner, owner.stdout:
        leader, guard = map(int, owner.stdout.readline().split())
        assert eventually(shared.exists)
        owner.send_signal(number)
    assert eventually(lambda: not is_running(guard))
    assert group(leader) == []
    assert not shared.exists()


def test_a_guard_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    prefix = f"er_test_{uuid.uuid4().hex}_"
    Path("/dev/shm", prefix).touch()
    with shell("sleep 60 & sleep 60", tmp_path / "log", shm_prefix=prefix) as child:
        assert eventually(lambda: len(group(child.pid)) == 3)
        child.guard.kill()
    assert eventually(lambda: group(child.pid) == [])
    assert not Path("/dev/shm", prefix).exists()


@pytest.mark.parametrize(
    "killed",
    [("owner",), ("guard",), ("group",), ("owner", "guard"), ("owner", "guard", "group")],
)
def test_whatever_is_killed_nothing_is_left_once_another_has_started(
    tmp_path: Path, killed: tuple[str, ...]
) -> None:
    """As Slurm's KILL ends all of a job at once, and others live on the machine meanwhile."""
    others = Path("/dev/shm", shared_memory.prefix("others"))
    others.touch()
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER_BY_NAME, str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout
    with owner, owner.stdout:
        leader, guard, prefix = owner.stdout.readline().split()
        assert eventually(lambda: len(list(Path("/dev/shm").glob(f"{prefix}*"))) == 2)
        victims = {"owner": [owner.pid], "guard": [int(guard)],
                   "group": [process.pid for process in group(int(leader))]}  # fmt: skip
        for pid in [pid for name in killed for pid in victims[name]]:
            os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: group(int(leader)) == [])
        owner.kill()
    assert eventually(lambda: not is_running(int(guard)))
    if len(killed) == 3:  # nobody was left to do it
        assert len(list(Path("/dev/shm").glob(f"{prefix}*"))) == 2

    with shell("true", tmp_path / "next", shm_prefix=shared_memory.prefix("next")):
        pass

    assert list(Path("/dev/shm").glob(f"{prefix}*")) == []
    assert others.exists()
    others.unlink()
