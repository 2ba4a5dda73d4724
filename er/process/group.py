"""Start, watch and stop a process group, which ends with this process at the latest."""

import json
import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from er.errors import ErError
from er.process import guard, shared_memory

KILL_ALLOWANCE_S = 10.0 + guard.END_TIMEOUT_S  # for the guard, after the group's own grace
READ_LINES, SHOWN_LINES = 200, 5  # last lines of a log that are searched, and shown


@dataclass(frozen=True)
class Child:
    """A running command and the file its output goes to."""

    name: str
    pid: int  # also the id of its process group and session
    log_path: Path
    guard: "subprocess.Popen[bytes]"

    def poll(self) -> int | None:
        """Exit status (128 + N after signal N), or None while any process of the group runs."""
        return self.guard.poll()

    def last_log_lines(self) -> str:
        """The last lines of the log in one line: those that mention errors, if any do."""
        return last_log_lines(self.log_path)

    def require_alive(self) -> None:
        """Raise ErError with the log's last lines when the command has ended."""
        status = self.poll()
        if status is not None:
            raise ErError(
                f"{self.name} stopped by itself with exit status {status}: {self.last_log_lines()} "
                f"(log: {self.log_path})"
            )


@contextmanager
def running(
    command: Sequence[str],
    log_path: Path,
    *,
    name: str,
    env: Mapping[str, str] | None = None,
    stop_timeout_s: float,
    shm_prefix: str = "",
    end: Sequence[str] = (),
) -> Iterator[Child]:
    """Run `command` in a session of its own; its output is appended to `log_path`.

    When the block ends, and also when this process is killed, the whole group gets SIGTERM, then
    SIGKILL after `stop_timeout_s`, and files of /dev/shm that begin with `shm_prefix` are removed.
    So are those that killed owners have left on this machine (`er.process.shared_memory`).
    `end` is a command that stops what other daemons started for it, run before the SIGKILL.
    Raises ErError when the command cannot be started.
    """
    if shm_prefix:
        shared_memory.remove_of_dead()
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        guarded = [str(stop_timeout_s), shm_prefix, json.dumps(list(end)), *command]
        guard_process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, *guarded],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=env,
            start_new_session=True,
        )
    assert guard_process.stdin is not None
    assert guard_process.stdout is not None
    pid = b""
    try:
        with guard_process.stdout:
            pid = guard_process.stdout.readline()
        if not pid:
            raise ErError(f"{name} was not started: {last_log_lines(log_path)} (log: {log_path})")
        yield Child(name, int(pid), log_path, guard_process)
    finally:
        guard_process.stdin.close()
        stop(guard_process, stop_timeout_s)
        if (
            guard_process.returncode < 0 and pid
        ):  # the guard itself was killed, so its work is done here
            guard.run_end(list(end))
            guard.signal_group(int(pid), signal.SIGKILL)
            guard.remove_shared_memory(shm_prefix)


def stop(guard_process: "subprocess.Popen[bytes]", stop_timeout_s: float) -> None:
    """Wait until the guard has stopped its group; kill the guard if it takes too long."""
    try:
        guard_process.wait(stop_timeout_s + KILL_ALLOWANCE_S)
    except subprocess.TimeoutExpired:
        guard_process.kill()
        guard_process.wait()


def last_log_lines(path: Path) -> str:
    """The last lines of a log in one line: those that mention errors, otherwise the last ones."""
    with path.open(errors="replace") as file:
        lines = deque((line.strip() for line in file if line.strip()), maxlen=READ_LINES)
    errors = [line for line in lines if re.search("error|fail|cannot", line, re.IGNORECASE)]
    return " | ".join((errors or list(lines))[-SHOWN_LINES:]) or "the log is empty"
