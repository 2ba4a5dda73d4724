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
from er.load import worker
from er.load.effort import Effort
from er.load.worker import Job
from er.process import stopping
from er.results.request import Request

TOKENS_PER_USER_S = 30  # of one stream, roughly
TOKENS_PER_S = 15_000  # that one process takes in at half of a core
LOOK_S = 0.2  # for idle cores
Message = tuple[int, Request | Effort | str | Exception]  # number of the worker, its message
# Not -m: a module run as __main__ pickles its classes under a name that is not theirs here.
COMMAND = [sys.executable, "-c", f"from {worker.__name__} import main; main()"]


def processes_for(concurrency: int, wanted: str, elsewhere: bool = False) -> int:
    """How many processes share so many users: as many as `wanted`, at most one for each user.

    `auto` takes one for every TOKENS_PER_S that so many readers of streams may get, and no more
    than there are idle cores: processes that wait for a core are late, whatever their number.
    """
    if wanted != "auto":
        return min(int(wanted), concurrency)
    needed = math.ceil(concurrency * TOKENS_PER_USER_S / TOKENS_PER_S)
    if needed == 1 or elsewhere:  # a node of their own has idle cores
        return min(needed, concurrency)
    idle = 1 - psutil.cpu_percent(LOOK_S) / 100
    return max(1, min(needed, round(idle * len(os.sched_getaffinity(0)))))


def drive(
    jobs: Sequence[Job], on_request: Callable[[Request], None], step: Sequence[str] = ()
) -> list[Effort]:
    """Run each job in a process of its own; all start together once all have connected.

    With `step`, a command line that starts a command on another node, they run there; all of them
    on one node, whose clock their times are of.

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

    with ExitStack() as stack:
        processes = [stack.enter_context(_started(job, step)) for job in jobs]
        for process in processes:
            _wait_until_ready(process)
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
                _, message = messages.get()
                if isinstance(message, Request):
                    on_request(message)
            raise
    return efforts


@contextmanager
def _started(job: Job, step: Sequence[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker that knows its job; it is gone when the block ends."""
    process = subprocess.Popen([*step, *COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        pickle.dump(job, _stdin(process))
        _stdin(process).flush()
        yield process
    finally:
        process.kill()  # it has nothing to tidy, and leaves TERM to this process
        process.wait()
        _close(_stdin(process))
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
