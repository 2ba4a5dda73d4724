"""Processes that serve together: started, started again when they die, ended with this one."""

import ctypes
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from er import cli
from er.errors import ErError
from er.gateway.counts import Counts
from er.gateway.output import say
from er.process.guard import PR_SET_PDEATHSIG

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
SHORT_LIFE_S = 1.0  # who dies sooner is started again after a pause
READY = "ready"

Run = Callable[[int, Callable[[], None]], None]  # serves; calls the function once it listens


class Family:
    """As many processes as `counts` has rows; `reload` is called on HUP."""

    def __init__(self, counts: Counts, run: Run, reload: Callable[[], None]) -> None:
        self._counts, self._run, self._reload = counts, run, reload
        self._children: dict[int, int] = {}  # number of the process by its id
        self._started_s: dict[int, float] = {}
        self._stopping = False

    def serve(self, opened: Callable[[], None]) -> None:
        """Until TERM or INT; `opened` is called once all listen.

        Raises ErError when one of them cannot be started.
        """
        for number in SIGNALS:
            signal.signal(number, self._on_signal)
        try:
            if self._start_all():
                opened()
            self._watch()
        finally:
            self._stop(signal.SIGTERM)
            while self._children:
                self._reap()

    def _start_all(self) -> bool:
        """Whether all listen; not where they are stopped before. Raises ErError."""
        read_end, write_end = os.pipe()
        with held_signals():
            for process in range(self._counts.processes):
                self._start(process, write_end)
        os.close(write_end)
        with os.fdopen(read_end) as reports:  # ends when each has reported, or died
            lines = reports.read().splitlines()
        if self._stopping:
            return False
        problems = [line for line in lines if line != READY]
        if problems or len(lines) < self._counts.processes:
            raise ErError(problems[0] if problems else "a process has died while it started")
        return True

    def _start(self, process: int, report_end: int = -1) -> None:
        """Fork it; signals are held. It reports to a pipe, if there is one."""
        parent = os.getpid()
        child = os.fork()
        if child:
            self._children[child], self._started_s[process] = process, time.monotonic()
            return
        status = 1
        try:
            forget_signals()
            die_with(parent)
            self._run(process, lambda: _report(report_end, READY))
            status = 0
        except ErError as error:
            if report_end >= 0:
                _report(report_end, str(error))
            else:
                cli.fail("er.gateway", error, 1)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def _watch(self) -> None:
        while self._children:
            process, status = self._reap()
            if time.monotonic() - self._started_s[process] < SHORT_LIFE_S and not self._stopping:
                time.sleep(SHORT_LIFE_S)
            with held_signals():  # or a new process could miss one
                if not self._stopping:
                    words = f"process {process} ended ({status}); another is started"
                    say(f"er.gateway: {words}")
                    self._start(process)

    def _reap(self) -> tuple[int, int]:
        """The number and status of one that has died."""
        child, status = os.wait()
        process = self._children.pop(child)
        self._counts.clear(process)
        return process, status

    def _on_signal(self, number: int, _frame: object) -> None:
        if number == signal.SIGHUP:
            self._reload()
        else:
            self._stop(number)

    def _stop(self, number: int) -> None:
        self._stopping = True
        for child in list(self._children):
            with suppress(ProcessLookupError):
                os.kill(child, number)


def _report(report_end: int, line: str) -> None:
    if report_end >= 0:
        os.write(report_end, f"{line}\n".encode())
        os.close(report_end)


@contextmanager
def held_signals() -> Iterator[None]:
    """What comes in the block is taken at its end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def forget_signals() -> None:
    """In a new process: end by a signal, in place of passing it on, until it serves."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def die_with(parent: int) -> None:
    """Get TERM when the parent ends, however it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)
