"""Handle TERM in a batch job: requests in flight may end, within a time limit.

Outside a batch job TERM ends a command at once, and Ctrl-C does so everywhere.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

# Slurm signals every process of a job, and the batch script passes the signal on: a TERM within
# this time after the first is the same one.
SAME_TERM_S = 1.0


@dataclass
class _Stop:
    """The state of the block that `graceful` opened."""

    limit_s: float
    hooks: list[Callable[[], None]] = field(default_factory=list)
    since_s: float | None = None  # when the first TERM came
    over: bool = False  # whether the next TERM ends the command
    timer: threading.Timer | None = None

    def may_go_on(self) -> bool:
        """Record a TERM; whether requests in flight may still end."""
        now_s = time.monotonic()
        if self.since_s is not None:
            return not self.over and now_s - self.since_s < SAME_TERM_S
        if not self.hooks:
            return False
        self.since_s = now_s
        self.timer = threading.Timer(self.limit_s, self.end)
        self.timer.daemon = True
        self.timer.start()
        for hook in self.hooks:
            hook()
        return True

    def end(self) -> None:
        """The limit has passed: end the command as TERM does without `graceful`."""
        self.over = True
        os.kill(os.getpid(), signal.SIGTERM)


_current: _Stop | None = None


@contextmanager
def graceful(limit_s: float) -> Iterator[None]:
    """While the block lasts, the first TERM only stops what is `stoppable`.

    A second TERM, one without anything to stop, and the end of `limit_s` seconds go to the previous
    handler. With a limit of 0, nothing changes.
    """
    global _current
    if not limit_s:
        yield
        return
    stop = _current = _Stop(limit_s)
    before: Any = signal.getsignal(signal.SIGTERM)

    def on_term(number: int, frame: FrameType | None) -> None:
        if not stop.may_go_on():
            before(number, frame)

    signal.signal(signal.SIGTERM, on_term)
    try:
        yield
    finally:
        _current = None
        if stop.timer:
            stop.timer.cancel()
        signal.signal(signal.SIGTERM, before)


@contextmanager
def stoppable(begin_no_more: Callable[[], None]) -> Iterator[None]:
    """While the block lasts, the first TERM calls `begin_no_more`, in the main thread."""
    if not _current:
        yield
        return
    hooks = _current.hooks
    hooks.append(begin_no_more)
    try:
        yield
    finally:
        hooks.remove(begin_no_more)


def may_go_on() -> bool:
    """For event loops, which catch TERM themselves: whether requests in flight may still end."""
    return bool(_current and _current.may_go_on())


def end_if_stopped() -> None:
    """End the command if TERM has arrived; call it when nothing is in flight."""
    if _current and _current.since_s is not None:
        _current.over = True
        signal.raise_signal(signal.SIGTERM)
