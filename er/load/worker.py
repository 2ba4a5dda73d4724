"""A process of its own that drives its share of the users on plain sockets.

It reads its job from standard input and writes to standard output, both pickled: READY once
connected, each Request as it ends, MEASURED when its measured requests have ended, and its Effort
at the end. It starts when GO comes, begins no more requests after STOP, which comes when all that
are measured have ended, or after CUT, which comes sooner, and dies with the input. CLOCK, while it
is not at work, is answered by the time on its clock.
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
IDLE_TURN_S = 0.005  # a turn without news still looks at the clock: a stop is seen from then on
REPORT_WITHIN_S = 0.5
MEASURED = "measured"
GO, STOP, CUT, CLOCK = b"g", b"s", b"c", b"t"


@dataclass(frozen=True)
class Job:
    """What one worker does."""

    endpoint: Endpoint
    plan: Plan
    timeout_s: float


def drive(
    job: Job,
    ready: Callable[[], None],
    emit: Callable[[Request], None],
    measured: Callable[[], None] = lambda: None,
) -> Effort:
    """Send all of the plan; `ready` is called once connected and returns when to start, `measured`
    once all measured requests have ended."""
    plan, measuring = job.plan, True
    pending: list[tuple[float, int, Work]] = []  # a heap by due time
    # To be completed, those with an answer here, and reported when nothing else is to do.
    ended: deque[tuple[Request, Answer | None]] = deque()
    wire: dict[int, bytes] = {}  # requests written before the clock starts
    idle = [Slot() for _ in plan.users]
    in_flight: set[Slot] = set()

    def launch(work: Work) -> None:
        slot = idle.pop() if idle else Slot()
        in_flight.add(slot)
        work.request.intended_s = started_s + work.due_s
        index = work.request.index
        data = wire.pop(index) if index in wire else http.encode_request(job.endpoint, work.prompt)
        streams.send(slot, data, work.request)

    def on_done(slot: Slot, request: Request, answer: Answer) -> None:
        now = bool(request.error) or answer.status != 200 or len(answer.events) < 2
        if now:  # users may have to give up
            http.complete(request, answer)
        in_flight.discard(slot)
        idle.append(slot)
        ended.append((request, None if now else answer))
        follow = plan.after(request, request.end_s - started_s)
        if follow and follow.due_s <= time.monotonic() - started_s:
            launch(follow)
        elif follow:
            heappush(pending, (follow.due_s, follow.request.index, follow))

    def launch_due() -> None:
        if plan.over:
            pending.clear()
        while pending and pending[0][0] <= time.monotonic() - started_s:
            launch(heappop(pending)[2])

    def report(least_age_s: float) -> None:
        """Complete and emit the oldest request that has ended, if it is old enough."""
        if ended and time.monotonic() - ended[0][0].end_s >= least_age_s:
            request, answer = ended.popleft()
            if answer:
                http.complete(request, answer)
            emit(request)

    streams = Streams(job.endpoint, job.timeout_s, on_done)
    try:
        streams.connect(idle)
        for work in plan.start():
            heappush(pending, (work.due_s, work.request.index, work))
            wire[work.request.index] = http.encode_request(job.endpoint, work.prompt)
        ready()
        started_s, cpu_s = time.monotonic(), time.process_time()
        launch_due()
        while in_flight or pending:
            wait_s = IDLE_TURN_S
            if pending:
                wait_s = min(wait_s, pending[0][0] - (time.monotonic() - started_s))
            news = streams.turn(0 if ended else max(0, wait_s))
            launch_due()
            if measuring and plan.measured_all(time.monotonic() - started_s):
                measuring = False
                measured()
            report(REPORT_WITHIN_S if news else 0)
        while ended:
            report(0)
        return Effort(
            loop_lags_s=streams.turns_s,
            read_delays_s=streams.read_delays_s,
            cpu_s=time.process_time() - cpu_s,
            wall_s=time.monotonic() - started_s,
            peak_rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        )
    finally:
        streams.close()


def main() -> None:
    """Serve one job."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent decides
    descriptors.allow_most()
    job: Job = pickle.load(sys.stdin.buffer)
    out = sys.stdout.buffer

    def ready() -> None:
        send(READY)
        while (byte := os.read(sys.stdin.fileno(), 1)) == CLOCK:
            send(time.monotonic())
        if byte != GO:
            raise SystemExit(1)
        watch.start()
        gc.freeze()
        gc.disable()  # a collection would stop every stream; requests hold no cycles

    def send(value: object) -> None:
        out.write(pickle.dumps(value))
        out.flush()

    watch = threading.Thread(target=_watch_input, args=(job.plan, send), daemon=True)
    send(drive(job, ready, send, lambda: send(MEASURED)))
    watch.join()


def _watch_input(plan: Plan, send: Callable[[object], None]) -> None:
    """Stop or cut the plan on a byte of input, or tell the time; exit when the input ends."""
    while byte := os.read(sys.stdin.fileno(), 1):
        if byte == CLOCK:
            send(time.monotonic())
        elif byte == CUT:
            plan.cut()
        else:
            plan.stop()
    os._exit(1)
