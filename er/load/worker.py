"""A process of its own that drives its share of the users on plain sockets.

The worker reads its Job from standard input and writes messages to standard output, both pickled:
READY once it has connected, each Request as it ends, MEASURED when all its measured requests have
ended, and its Effort at the end.

The parent sends single bytes. GO starts the load. STOP, sent when the measured requests of all
workers have ended, and CUT, sent when a point is to end early, keep the worker from beginning more
requests. CLOCK, before GO or after the end, is answered with the time on the worker's clock. When
its input ends, the worker exits.
"""

import gc
import os
import pickle
import resource
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush

from er.load import descriptors, http
from er.load.effort import Effort
from er.load.http import Answer
from er.load.plan import Plan, Work
from er.load.slot import Slot
from er.load.sockets import Streams
from er.results.request import Endpoint, Request

READY = "ready"
MEASURED = "measured"
GO, STOP, CUT, CLOCK = b"g", b"s", b"c", b"t"
IDLE_TURN_S = 0.005  # longest wait for news: a stop is noticed within this time
REPORT_WITHIN_S = 0.5  # a request that has ended is reported after this time even under load


@dataclass(frozen=True)
class Job:
    """What one worker does."""

    endpoint: Endpoint
    plan: Plan
    timeout_s: float


class Driver:
    """Sends all requests of a plan over plain sockets.

    While requests are in flight, the next one is sent before anything else is done: an answer is
    decoded and reported (`emit`) when there is no news, or after REPORT_WITHIN_S.
    """

    def __init__(self, job: Job, emit: Callable[[Request], None]) -> None:
        self._plan = job.plan
        self._endpoint = job.endpoint
        self._emit = emit
        self._streams = Streams(job.endpoint, job.timeout_s, self._on_done)
        self._idle = [Slot() for _ in job.plan.users]
        self._in_flight: set[Slot] = set()
        self._pending: list[tuple[float, int, Work]] = []  # a heap by due time
        self._encoded: dict[int, bytes] = {}  # by index of the request: written before the start
        # Requests to be reported, with the answers that are still to be decoded.
        self._ended: deque[tuple[Request, Answer | None]] = deque()
        self._started_s = 0.0

    def prepare(self) -> None:
        """Open the connections, and encode the requests that are known before the first answer."""
        self._streams.connect(self._idle)
        for work in self._plan.start():
            self._wait_for(work)
            self._encoded[work.request.index] = http.encode_request(self._endpoint, work.prompt)

    def run(self, on_measured: Callable[[], None]) -> Effort:
        """Send everything; returns when every request has ended and has been reported.

        `on_measured` is called once, when all measured requests of the plan have ended.
        """
        self._started_s, cpu_s = time.monotonic(), time.process_time()
        measuring = True
        self._launch_due()
        while self._in_flight or self._pending:
            news = self._streams.turn(0 if self._ended else self._longest_wait_s())
            self._launch_due()
            if measuring and self._plan.measured_all(self._elapsed_s()):
                measuring = False
                on_measured()
            self._report_oldest(REPORT_WITHIN_S if news else 0)
        while self._ended:
            self._report_oldest(0)
        return Effort(
            loop_lags_s=self._streams.turns_s,
            read_delays_s=self._streams.read_delays_s,
            cpu_s=time.process_time() - cpu_s,
            wall_s=self._elapsed_s(),
            peak_rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        )

    def close(self) -> None:
        """Close every connection."""
        self._streams.close()

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._started_s

    def _longest_wait_s(self) -> float:
        """How long to wait for news: until the next request is due, or an idle turn."""
        if not self._pending:
            return IDLE_TURN_S
        return max(0.0, min(IDLE_TURN_S, self._pending[0][0] - self._elapsed_s()))

    def _wait_for(self, work: Work) -> None:
        """Send `work` when it is due."""
        heappush(self._pending, (work.due_s, work.request.index, work))

    def _launch_due(self) -> None:
        if self._plan.over:
            self._pending.clear()
        while self._pending and self._pending[0][0] <= self._elapsed_s():
            self._launch(heappop(self._pending)[2])

    def _launch(self, work: Work) -> None:
        slot = self._idle.pop() if self._idle else Slot()
        self._in_flight.add(slot)
        work.request.intended_s = self._started_s + work.due_s
        data = self._encoded.pop(work.request.index, None)
        if data is None:
            data = http.encode_request(self._endpoint, work.prompt)
        self._streams.send(slot, data, work.request)

    def _on_done(self, slot: Slot, request: Request, answer: Answer) -> None:
        """Send what follows a request that has ended; its answer is decoded when there is time."""
        decode_now = bool(request.error) or answer.status != 200 or len(answer.events) < 2
        if decode_now:  # an error decides whether the users give up
            http.complete(request, answer)
        self._in_flight.discard(slot)
        self._idle.append(slot)
        self._ended.append((request, None if decode_now else answer))
        follow = self._plan.after(request, request.end_s - self._started_s)
        if follow and follow.due_s <= self._elapsed_s():
            self._launch(follow)
        elif follow:
            self._wait_for(follow)

    def _report_oldest(self, least_age_s: float) -> None:
        """Decode and report the request that ended first, if that was `least_age_s` ago."""
        if self._ended and time.monotonic() - self._ended[0][0].end_s >= least_age_s:
            request, answer = self._ended.popleft()
            if answer:
                http.complete(request, answer)
            self._emit(request)


def main() -> None:
    """Serve one job."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent decides
    descriptors.allow_most()
    job: Job = pickle.load(sys.stdin.buffer)
    out = sys.stdout.buffer

    def send(message: object) -> None:
        out.write(pickle.dumps(message))
        out.flush()

    driver = Driver(job, send)
    try:
        driver.prepare()
        send(READY)
        _wait_for_go(send)
        watch = threading.Thread(target=_watch_input, args=(job.plan, send), daemon=True)
        watch.start()
        gc.freeze()
        gc.disable()  # a collection would stop every stream; requests hold no cycles
        effort = driver.run(on_measured=lambda: send(MEASURED))
    finally:
        driver.close()
    send(effort)
    watch.join()


def _wait_for_go(send: Callable[[object], None]) -> None:
    """Return at GO; answer CLOCK until then. Exits when the input ends."""
    while (byte := os.read(sys.stdin.fileno(), 1)) == CLOCK:
        send(time.monotonic())
    if byte != GO:
        raise SystemExit(1)


def _watch_input(plan: Plan, send: Callable[[object], None]) -> None:
    """Obey the bytes that arrive after GO; exit when the input ends."""
    while byte := os.read(sys.stdin.fileno(), 1):
        if byte == CLOCK:
            send(time.monotonic())
        elif byte == CUT:
            plan.cut()
        else:
            plan.stop()
    os._exit(1)
