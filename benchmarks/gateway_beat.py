"""The gateway with a timer of 1 ms beside its work: how late does its event loop come to serve it?

    python -m benchmarks.gateway_beat PLAN REPORT

As `python -m er.gateway.process PLAN`; on USR2 it writes the longest lateness since the last time
to REPORT, in seconds. A token that comes meanwhile waits as long, whatever holds the loop up: its
own work, another thread with the interpreter's lock, another process on its core. Unlike the watch
of `benchmarks.gateway_turns` it leaves the core idle between two beats.
"""

import asyncio
import ctypes
import os
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

from er.gateway import process
from er.gateway.fast import processes
from er.gateway.fast.server import Server

BEAT_NS = 1_000_000
CLOCK_MONOTONIC, TFD_TIMER_ABSTIME = 1, 1


class Beat:
    """A timer of the system's, whose beats are due at known times."""

    def __init__(self, report: Path) -> None:
        self._report = report
        self._longest_ns, self._wrote = 0, False
        libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor: int = libc.timerfd_create(CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        self._due_ns = time.monotonic_ns() + BEAT_NS
        times = struct.pack("4q", 0, BEAT_NS, *divmod(self._due_ns, 10**9))
        if libc.timerfd_settime(self.descriptor, TFD_TIMER_ABSTIME, times, None):
            raise OSError(ctypes.get_errno(), "no timer")

    def serve(self) -> None:
        """A beat is due, or several."""
        late_ns = time.monotonic_ns() - self._due_ns
        self._longest_ns = 0 if self._wrote else max(self._longest_ns, late_ns)
        self._wrote = False
        self._due_ns += int.from_bytes(os.read(self.descriptor, 8), sys.byteorder) * BEAT_NS

    def write(self) -> None:
        """Report, and begin anew."""
        unfinished = self._report.with_suffix(".part")
        unfinished.write_text(str(self._longest_ns / 1e9))
        unfinished.replace(self._report)
        self._wrote = True  # the next beat is late for this


def main() -> int:
    """As the gateway's process."""
    serve = processes.serve

    async def serve_with_beat(own: Server, port: int, opened: Callable[[int], None]) -> None:
        beat, loop = Beat(Path(sys.argv[2])), asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR2, beat.write)
        loop.add_reader(beat.descriptor, beat.serve)
        await serve(own, port, opened)

    processes.serve = serve_with_beat
    return process.main()


if __name__ == "__main__":
    sys.exit(main())
