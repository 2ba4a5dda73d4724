"""The gateway with a watch on its event loop: how long is it between two turns for others?

    python -m benchmarks.gateway_turns PLAN REPORT

As `python -m er.gateway.process PLAN`; on USR2 it writes the longest turns since the last time to
REPORT, as JSON: by the thread's own time, and by the clock, which holds what other processes (and
virtual machines) took of the core; and the longest garbage collection, which is part of a turn.
On a virtual machine a thread's time may jump by milliseconds within microseconds of the clock: of
a turn the smaller of the two counts as its own. The watch keeps the loop busy.
"""

import asyncio
import gc
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from er.gateway import process
from er.gateway.fast import processes
from er.gateway.fast.server import Server


class Watch:
    """The longest turns so far."""

    def __init__(self, report: Path) -> None:
        self._report = report
        self._thread_s = self._clock_s = self._collection_s = 0.0
        self._began_s = 0.0
        self._own = False  # whether this turn is the watch's, which writes a file
        gc.callbacks.append(self._collects)

    def _collects(self, phase: str, _: dict[str, int]) -> None:
        """gc: a collection begins or ends."""
        if phase == "start":
            self._began_s = time.perf_counter()
        else:
            self._collection_s = max(self._collection_s, time.perf_counter() - self._began_s)

    async def look(self) -> None:
        """For ever."""
        thread_s, clock_s = time.thread_time(), time.perf_counter()
        while True:
            await asyncio.sleep(0)
            before_thread_s, before_clock_s = thread_s, clock_s
            thread_s, clock_s = time.thread_time(), time.perf_counter()
            if self._own:
                self._own = False
                continue
            turn_s = clock_s - before_clock_s
            self._thread_s = max(self._thread_s, min(turn_s, thread_s - before_thread_s))
            self._clock_s = max(self._clock_s, turn_s)

    def write(self) -> None:
        """Report, and begin anew after this turn."""
        found = {
            "thread_s": self._thread_s,
            "clock_s": self._clock_s,
            "collection_s": self._collection_s,
        }
        self._thread_s = self._clock_s = self._collection_s = 0.0
        self._own = True
        unfinished = self._report.with_suffix(".part")
        unfinished.write_text(json.dumps(found))
        unfinished.replace(self._report)


def main() -> int:
    """As the gateway's process."""
    watch = Watch(Path(sys.argv[2]))
    serve = processes.serve

    async def serve_watched(own: Server, port: int, opened: Callable[[int], None]) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, watch.write)
        looking = asyncio.ensure_future(watch.look())
        await serve(own, port, opened)
        looking.cancel()

    processes.serve = serve_watched
    return process.main()


if __name__ == "__main__":
    sys.exit(main())
