"""What the gateway counts, in memory that its processes share: each writes a row of its own."""

import mmap
from bisect import bisect_left
from typing import Union

REPLICAS_AT_MOST = 256
CAUSES = (
    "bad_request", "unauthorized", "not_found", "too_large", "overload", "queue_timeout",
    "unreachable", "no_answer", "bad_answer", "broken_stream", "timeout", "client_left",
    "slow_request", "slow_client", "draining", "connections",
)  # fmt: skip
EVENTS = (
    "retries_connection", "retries_elsewhere", "spilled", "shadow_same", "shadow_other",
    "log_lines_lost",
)  # fmt: skip
BUCKETS_S = (
    1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
)  # fmt: skip
HISTOGRAMS = ("choose", "first_byte", "answer")

IN_FLIGHT = 0
REQUESTS = IN_FLIGHT + REPLICAS_AT_MOST
FAILURES = REQUESTS + REPLICAS_AT_MOST
DECISIONS = FAILURES + REPLICAS_AT_MOST
QUEUED = DECISIONS + REPLICAS_AT_MOST
USABLE = QUEUED + REPLICAS_AT_MOST
CAUSE = USABLE + REPLICAS_AT_MOST
EVENT = CAUSE + len(CAUSES)
CLIENTS = EVENT + len(EVENTS)
HISTOGRAM = CLIENTS + 1
HISTOGRAM_SLOTS = len(BUCKETS_S) + 2  # counts, the last above every bound, and the sum
SUM = HISTOGRAM_SLOTS - 1
SLOTS = HISTOGRAM + HISTOGRAM_SLOTS * len(HISTOGRAMS)
CHOOSE, FIRST_BYTE, ANSWER = range(HISTOGRAM, SLOTS, HISTOGRAM_SLOTS)

Row = Union[list[float], "memoryview[float]"]


class Counts:
    """Numbers by slot: `row` is this process's, totals are over all processes'."""

    def __init__(self, processes: int = 1) -> None:
        self.processes = processes
        self._rows: list[Row] = [[0.0] * SLOTS]  # quicker than a view of memory
        if processes > 1:
            shared = memoryview(mmap.mmap(-1, processes * SLOTS * 8)).cast("d")
            self._rows = [shared[at * SLOTS : (at + 1) * SLOTS] for at in range(processes)]
        self.process = 0
        self.row = self._rows[0]

    def become(self, process: int) -> None:
        """Write the row of this process from now on, from zero in flight."""
        self.clear(process)
        self.process = process
        self.row = self._rows[process]

    def clear(self, process: int) -> None:
        """A process has ended: nothing is in flight or waits there, and no client is connected."""
        row = self._rows[process]
        for slot in (*range(IN_FLIGHT, REQUESTS), *range(QUEUED, CAUSE), CLIENTS):
            row[slot] = 0

    def total(self, slot: int) -> float:
        """A slot's sum over all processes."""
        if self.processes == 1:
            return self.row[slot]
        return sum(row[slot] for row in self._rows)

    def fail(self, cause: str) -> None:
        """One more request that ended so."""
        self.row[CAUSE + CAUSES.index(cause)] += 1

    def event(self, name: str) -> None:
        """One more of these."""
        self.row[EVENT + EVENTS.index(name)] += 1

    def observe(self, histogram: int, value_s: float) -> None:
        """Enter a time into the histogram that begins at a slot: CHOOSE, FIRST_BYTE, ANSWER."""
        row = self.row
        row[histogram + bisect_left(BUCKETS_S, value_s)] += 1
        row[histogram + SUM] += value_s
