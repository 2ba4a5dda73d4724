"""The gateway with a watch on its event loop: how long is it between two turns for others?

    python -m benchmarks.gateway_turns PLAN REPORT

As `python -m er.gateway.process PLAN`; on USR2 it writes the longest turns since the last time to
REPORT, as JSON: by the thread's own time, and by the clock among turns in which the system did not
give the core to others. The watch keeps the loop busy.
"""

import asyncio
import json
import resource
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
        self._thread_s = self._undisturbed_s = self._clock_s = 0.0

    async def look(self) -> None:
        """For ever."""
        thread_s, clock_s, switches = now()
        while True:
            await asyncio.sleep(0)
            before = thread_s, clock_s, switches
            thread_s, clock_s, switches = now()
            self._thread_s = max(self._thread_s, thread_s - before[0])
            self._clock_s = max(self._clock_s, clock_s - before[1])
            if switches == before[2]:
                self._undisturbed_s = max(self._undisturbed_s, clock_s - before[1])

    def write(self) -> None:
        """Report, and begin anew."""
        found = {
            "thread_s": self._thread_s,
            "undisturbed_s": self._undisturbed_s,
            "clock_s": self._clock_s,
        }
        self._thread_s = self._undisturbed_s = self._clock_s = 0.0
        unfinished = self._report.with_suffix(".part")
        unfinished.write_text(json.dumps(found))
        unfinished.replace(self._report)


def now() -> tuple[float, float, int]:
    """Thread's time, the clock's, and how often the core was taken away."""
    switches = resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
    return time.thread_time(), time.perf_counter(), switches


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
