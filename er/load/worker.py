"""A process of its own that drives its share of the users on plain sockets.

It reads its job from standard input and writes to standard output, both pickled: READY once
connected, each Request as it ends, and its Effort at the end. It starts when a byte comes, and
dies with the input.
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

from er.load import sockets
from er.load.effort import Effort
from er.load.http import Answer
from er.load.plan import Plan
from er.load.sockets import Slot, Streams
from er.results import Endpoint, Request

READY = "ready"
IDLE_TURN_S = 0.1  # a turn without news still looks at the clock
REPORT_WITHIN_S = 0.5
GO = b"\n"


@dataclass(frozen=True)
class Job:
    """What one worker does."""

    endpoint: Endpoint
    plan: Plan
    timeout_s: float


def drive(job: Job, ready: Callable[[], None], emit: Callable[[Request], None]) -> Effort:
    """Send all of the plan; `ready` is called once connected and returns when to start."""
    plan = job.plan

    def on_done(slot: Slot, request: Request, answer: Answer) -> None:
        if request.error or answer.status != 200:
            sockets.complete(request, answer)  # now: users may have to give up
        plan.ended(request)
        follow = plan.next(request.user)
        if follow:
            streams.send(slot, *follow)
        else:
            busy.discard(slot)
        ended.append((request, answer))

    def report(least_age_s: float) -> None:
        """Complete and emit the oldest request that has ended, if it is old enough."""
        if ended and time.monotonic() - ended[0][0].end_s >= least_age_s:
            request, answer = ended.popleft()
            if not request.error:
                sockets.complete(request, answer)
            emit(request)

    streams = Streams(job.endpoint, job.timeout_s, on_done)
    slots = {user: Slot() for user in plan.users}
    busy: set[Slot] = set()
    ended: deque[tuple[Request, Answer]] = deque()  # to be reported when nothing else is to do
    try:
        streams.connect(list(slots.values()))
        ready()
        started_s, cpu_s = time.monotonic(), time.process_time()
        for user, slot in slots.items():
            first = plan.next(user)
            if first:
                busy.add(slot)
                streams.send(slot, *first)
        while busy:
            news = streams.turn(0 if ended else IDLE_TURN_S)
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    _allow_many_files()
    job: Job = pickle.load(sys.stdin.buffer)
    out = sys.stdout.buffer

    def ready() -> None:
        say(READY)
        if sys.stdin.buffer.read(1) != GO:
            raise SystemExit(1)
        threading.Thread(target=_die_with_input, daemon=True).start()
        gc.freeze()
        gc.disable()  # a collection would stop every stream; requests hold no cycles

    def say(value: object) -> None:
        out.write(pickle.dumps(value))
        out.flush()

    say(drive(job, ready, say))


def _die_with_input() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def _allow_many_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
