"""Run one command, and leave nothing of it behind, however its owner ends.

`er.process.group` runs this file as `python -I -S guard.py GRACE_S SHM_PREFIX END COMMAND...`, so
it imports only the standard library. Standard input is a pipe whose other end the owner holds: when
the owner closes it or dies, even by SIGKILL, the command's process group is stopped. END, a JSON
list that may be empty, is a command that runs after the grace, to end what a container's daemon or
Slurm started for the command. The first line of standard output is the command's process id; the
exit status is that of the command.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CANNOT_START = 127
POLL_INTERVAL_S = 0.02
END_TIMEOUT_S = 20.0
ORPHANS_GRACE_S = 1.0  # for the rest of the group once the command itself has ended
READ_BYTES = 4096  # signals that are read at once


def main(grace_s: float, shm_prefix: str, end: list[str], command: list[str]) -> int:
    """Run `command` until it ends or the owner does; its exit status, 128 + N after signal N."""
    wake = wake_on_signals()
    libc = ctypes.CDLL(None)
    # Orphans of the command become children of this process, which can then reap them.
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            start_new_session=True,
            preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
        )
    except OSError as error:
        print(f"cannot start {command[0]}: {error.strerror}", file=sys.stderr)
        return CANNOT_START
    print(child.pid, flush=True)
    watch(child, wake)
    end_group(child, grace_s, end)
    remove_shared_memory(shm_prefix)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def wake_on_signals() -> int:
    """A file descriptor that becomes readable on a signal; Ctrl-C is left to the owner."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    for watched in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(watched, lambda *_: None)
    return read_end


def watch(child: "subprocess.Popen[bytes]", wake: int) -> None:
    """Return when the command has ended, the owner has gone, or SIGTERM has arrived."""
    owner = sys.stdin.fileno()
    while child.poll() is None:
        readable, _, _ = select.select([owner, wake], [], [])
        if owner in readable or signal.SIGTERM in os.read(wake, READ_BYTES):
            return


def end_group(child: "subprocess.Popen[bytes]", grace_s: float, end: list[str]) -> None:
    """Send the group TERM, and KILL after the grace; returns when no process of it is left.

    Before KILL, run `end`, after which the command may end by itself.
    """
    signal_group(child.pid, signal.SIGTERM)
    wait(lambda: child.poll() is not None, grace_s)
    if child.poll() is not None:
        wait(lambda: not running(child), ORPHANS_GRACE_S)
    run_end(end)
    while running(child):
        signal_group(child.pid, signal.SIGKILL)
        time.sleep(POLL_INTERVAL_S)


def run_end(end: list[str]) -> None:
    """Run the command that ends processes outside the group; that it finds none is not an error."""
    if not end:
        return
    try:
        subprocess.run(
            end,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=END_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"cannot run {end[0]}: {error}", file=sys.stderr)


def wait(condition: Callable[[], bool], limit_s: float) -> None:
    """Return when the condition holds or the time is over."""
    deadline = time.monotonic() + limit_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(POLL_INTERVAL_S)


def running(child: "subprocess.Popen[bytes]") -> bool:
    """Whether anything of the group still runs; reaps what has ended."""
    if child.poll() is None:
        return True
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        return False
    return signal_group(child.pid, 0)


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a group; whether the group exists."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def remove_shared_memory(prefix: str) -> None:
    """Delete the files of /dev/shm whose name begins with a prefix that is not empty."""
    for path in Path("/dev/shm").glob(f"{prefix}*") if prefix else []:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]), sys.argv[4:]))
