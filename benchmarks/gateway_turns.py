"""The gateway with a watch on its event loop: how long is it between two turns for others?

    python -m benchmarks.gateway_turns PLAN REPORT

As `python -m er.gateway.process PLAN`; on USR2 it writes the longest turns since the last time to
REPORT, as JSON: by the thread's own time, and by the clock, which holds what other processes (and
virtual machines) took of the core. The watch keeps the loop busy.
"""

import asyncio
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
        self._thread_s = self._clock_s = 0.0

    async def look(self) -> None:
        """For ever."""
        thread_s, clock_s = time.thread_time(), time.perf_counter()
        while True:
            await asyncio.sleep(0)
            before_thread_s, before_clock_s = thread_s, clock_s
            thread_s, clock_s = time.thread_time(), time.perf_counter()
            self._thread_s = max(self._thread_s, thread_s - before_thread_s)
            self._clock_s = max(self._clock_s, clock_s - before_clock_s)

    def write(self) -> None:
        """Report, and begin anew."""
        found = {"thread_s": self._thread_s, "clock_s": self._clock_s}
        self._thread_s = self._clock_s = 0.0
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
