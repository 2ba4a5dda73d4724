"""Worker processes that share the users of one point."""

import math
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, cast

import psutil

from er.errors import ErError
from er.load import clocks, worker
from er.load.clocks import Offset
from er.load.effort import Effort
from er.load.worker import Job
from er.process import nodes, stopping
from er.results.request import Request

TOKENS_PER_USER_S = 30  # roughly, of one stream
TOKENS_PER_S = 15_000  # that one process receives with half of a core (docs/load.md)
IDLE_SAMPLE_S = 0.2  # time over which idle cores are counted
END_TIMEOUT_S = 10  # for a step on another node, which killing srun alone would not end
Message = tuple[int, Request | Effort | str | Exception]  # number of the worker, its message
# Not -m: a module run as __main__ pickles its classes under a name that is not theirs here.
COMMAND = [sys.executable, "-c", f"from {worker.__name__} import main; main()"]


def processes_for(concurrency: int, wanted: str, nodes: int = 0) -> int:
    """How many processes share `concurrency` users: `wanted`, but at most one for each user.

    With `auto`, one for every TOKENS_PER_S that the users' streams may bring, but no more than
    there are idle cores: processes that wait for a core read late, however many they are. Each of
    `nodes` (0: the users are on this node) has at least one while there are users for it.
    """
    if wanted != "auto":
        return min(max(int(wanted), nodes), concurrency)
    needed = max(math.ceil(concurrency * TOKENS_PER_USER_S / TOKENS_PER_S), nodes)
    if needed == 1 or nodes:  # nodes of their own have idle cores
        return min(needed, concurrency)
    idle = 1 - psutil.cpu_percent(IDLE_SAMPLE_S) / 100
    return max(1, min(needed, round(idle * len(os.sched_getaffinity(0)))))


def drive(
    jobs: Sequence[Job],
    on_request: Callable[[Request], None],
    steps: Sequence[Sequence[str]] = (),
) -> tuple[list[Effort], list[Offset]]:
    """Run each job in a process of its own; all start together once all have connected.

    `steps` are command lines that each start a command on another node; the jobs run there in turn.
    The times of workers on several nodes are converted to the clock of this process. The second
    result is the offset of each node's clock, with the drift until the end; it is empty otherwise.

    Requests that have ended reach `on_request` even when the call is interrupted.
    Raises ErError when a worker dies.
    """
    messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
    with ExitStack() as stack:
        processes = [
            stack.enter_context(_started(job, steps[at % len(steps)] if steps else []))
            for at, job in enumerate(jobs)
        ]
        for process in processes:
            _wait_until_ready(process)
        apart = processes[: len(steps)] if len(steps) > 1 else []  # the first of each node
        offsets = [_compare(process) for process in apart]
        for number, process in enumerate(processes):
            _send(process, worker.GO)
            relay = threading.Thread(target=_relay, args=(number, process, messages), daemon=True)
            relay.start()
        stack.enter_context(stopping.stoppable(lambda: _cut(processes)))
        efforts = _collect(processes, messages, offsets, on_request)
        later = map(_compare, apart)
        drifted = [before.with_drift(after) for before, after in zip(offsets, later, strict=True)]
    return efforts, drifted


def _collect(
    processes: Sequence["subprocess.Popen[bytes]"],
    messages: "queue.SimpleQueue[Message]",
    offsets: Sequence[Offset],
    on_request: Callable[[Request], None],
) -> list[Effort]:
    """Handle the workers' messages until each has sent its Effort.

    Stops all workers once the measured requests of each have ended. Requests that have arrived
    reach `on_request` even when this raises.
    """
    efforts: list[Effort] = []
    measured: set[int] = set()  # workers whose measured requests have ended

    def keep(number: int, request: Request) -> None:
        if offsets:
            clocks.shift(request, offsets[number % len(offsets)].offset_s)
        on_request(request)

    try:
        while len(efforts) < len(processes):
            number, message = messages.get()
            if isinstance(message, Exception):
                raise message
            if isinstance(message, Request):
                keep(number, message)
                continue
            if isinstance(message, Effort):
                efforts.append(message)
            measured.add(number)
            if len(measured) == len(processes):
                _stop(processes)
    except BaseException:
        while not messages.empty():
            number, message = messages.get()
            if isinstance(message, Request):
                keep(number, message)
        raise
    return efforts


def _compare(process: "subprocess.Popen[bytes]") -> Offset:
    """Compare the clock of a worker that is not sending requests with this process's."""

    def ask() -> float:
        _send(process, worker.CLOCK)
        there_s = _next(process)
        if not isinstance(there_s, float):
            raise there_s if isinstance(there_s, Exception) else AssertionError(there_s)
        return there_s

    return clocks.compare(ask)


@contextmanager
def _started(job: Job, step: Sequence[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker that has been given its job; it has ended when the block ends."""
    process = subprocess.Popen([*step, *COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        pickle.dump(job, _stdin(process))
        _stdin(process).flush()
        yield process
    finally:
        _close(_stdin(process))  # ends the worker, also on another node
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_TIMEOUT_S if step and not nodes.is_step_of_silent(step) else 0)
        process.kill()  # it has nothing to clean up, and ignores TERM
        process.wait()
        _close(_stdout(process))


def _send(process: "subprocess.Popen[bytes]", byte: bytes) -> None:
    """Send one of the bytes that `er.load.worker` knows."""
    _stdin(process).write(byte)
    _stdin(process).flush()


def _stop(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Have every worker begin no more requests: all measured ones have ended."""
    for process in processes:
        with suppress(BrokenPipeError):  # it has ended
            _send(process, worker.STOP)


def _cut(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Have every worker begin no more requests, though measured ones are missing.

    Called by a signal handler: writes past the buffer, which may be in use.
    """
    for process in processes:
        with suppress(OSError):
            os.write(_stdin(process).fileno(), worker.CUT)


def _wait_until_ready(process: "subprocess.Popen[bytes]") -> None:
    message = _next(process)
    if message != worker.READY:
        raise message if isinstance(message, Exception) else AssertionError(message)


def _relay(
    number: int, process: "subprocess.Popen[bytes]", messages: "queue.SimpleQueue[Message]"
) -> None:
    """Pass on the worker's messages until its effort or its end."""
    while True:
        message = cast(Request | Effort | str | Exception, _next(process))
        messages.put((number, message))
        if isinstance(message, Effort | Exception):
            return


def _next(process: "subprocess.Popen[bytes]") -> object:
    """The next message of the worker; an ErError when it has died."""
    try:
        return pickle.load(_stdout(process))
    except (EOFError, pickle.UnpicklingError, ValueError, OSError):
        status = process.wait()
        return ErError(
            f"a worker of the load generator died with exit status {status}: "
            "is the machine out of memory? Use fewer users or fewer load.workers"
        )


def _stdin(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin


def _stdout(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def _close(pipe: IO[bytes]) -> None:
    with suppress(BrokenPipeError):
        pipe.close()
