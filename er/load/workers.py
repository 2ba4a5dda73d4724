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
from er.process import stopping
from er.results.request import Request

TOKENS_PER_USER_S = 30  # of one stream, roughly
TOKENS_PER_S = 15_000  # that one process takes in at half of a core
LOOK_S = 0.2  # for idle cores
END_TIMEOUT_S = 10  # of a step on another node, which killing srun alone would leave
Message = tuple[int, Request | Effort | str | Exception]  # number of the worker, its message
# Not -m: a module run as __main__ pickles its classes under a name that is not theirs here.
COMMAND = [sys.executable, "-c", f"from {worker.__name__} import main; main()"]


def processes_for(concurrency: int, wanted: str, nodes: int = 0) -> int:
    """How many processes share so many users: as many as `wanted`, at most one for each user.

    `auto` takes one for every TOKENS_PER_S that so many readers of streams may get, and no more
    than there are idle cores: processes that wait for a core are late, whatever their number.
    Of `nodes` of their own, 0 for this one, each has one at least, while there are users for it.
    """
    if wanted != "auto":
        return min(max(int(wanted), nodes), concurrency)
    needed = max(math.ceil(concurrency * TOKENS_PER_USER_S / TOKENS_PER_S), nodes)
    if needed == 1 or nodes:  # which have idle cores
        return min(needed, concurrency)
    idle = 1 - psutil.cpu_percent(LOOK_S) / 100
    return max(1, min(needed, round(idle * len(os.sched_getaffinity(0)))))


def drive(
    jobs: Sequence[Job],
    on_request: Callable[[Request], None],
    steps: Sequence[Sequence[str]] = (),
) -> tuple[list[Effort], list[Offset]]:
    """Run each job in a process of its own; all start together once all have connected.

    With `steps`, command lines that each start a command on another node, they run there by turns.
    On one node their times are of its clock. Those of several are taken to the clock of this
    process; how far each is off, by then and afterwards, is the second result, else empty.

    Requests that have ended reach `on_request` even when the call is interrupted.
    Raises ErError when a worker dies.
    """
    messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
    efforts: list[Effort] = []
    measured: set[int] = set()  # workers whose measured requests have ended

    def handle(number: int, message: Request | Effort | str | Exception) -> None:
        if isinstance(message, Exception):
            raise message
        if isinstance(message, Request):
            if offsets:
                clocks.shift(message, offsets[number % len(offsets)].offset_s)
            on_request(message)
            return
        if isinstance(message, Effort):
            efforts.append(message)
        measured.add(number)
        if len(measured) == len(jobs):
            for process in processes:
                with suppress(BrokenPipeError):
                    _stdin(process).write(worker.STOP)
                    _stdin(process).flush()

    offsets: list[Offset] = []
    with ExitStack() as stack:
        processes = [
            stack.enter_context(_started(job, steps[at % len(steps)] if steps else []))
            for at, job in enumerate(jobs)
        ]
        for process in processes:
            _wait_until_ready(process)
        apart = processes[: len(steps)] if len(steps) > 1 else []  # the first of each node
        offsets += map(_compare, apart)
        for number, process in enumerate(processes):
            _stdin(process).write(worker.GO)
            _stdin(process).flush()
            relay = threading.Thread(target=_relay, args=(number, process, messages), daemon=True)
            relay.start()
        stack.enter_context(stopping.stoppable(lambda: _cut(processes)))
        try:
            while len(efforts) < len(jobs):
                handle(*messages.get())
        except BaseException:
            while not messages.empty():
                number, message = messages.get()
                if isinstance(message, Request):
                    handle(number, message)
            raise
        later = map(_compare, apart)
        drifted = [before.with_drift(after) for before, after in zip(offsets, later, strict=True)]
    return efforts, drifted


def _compare(process: "subprocess.Popen[bytes]") -> Offset:
    """The clock of a worker that is not at work, held against this process's."""

    def ask() -> float:
        _stdin(process).write(worker.CLOCK)
        _stdin(process).flush()
        there_s = _next(process)
        if not isinstance(there_s, float):
            raise there_s if isinstance(there_s, Exception) else AssertionError(there_s)
        return there_s

    return clocks.compare(ask)


@contextmanager
def _started(job: Job, step: Sequence[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker that knows its job; it is gone when the block ends."""
    process = subprocess.Popen([*step, *COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        pickle.dump(job, _stdin(process))
        _stdin(process).flush()
        yield process
    finally:
        _close(_stdin(process))  # at which it ends, on another node too
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_TIMEOUT_S if step else 0)
        process.kill()  # it has nothing to tidy, and leaves TERM to this process
        process.wait()
        _close(_stdout(process))


def _cut(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Have every worker begin no more requests; called while a signal is handled."""
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
