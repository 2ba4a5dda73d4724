"""Compare the clocks of several nodes, and convert times of one clock to another.

Each node has its own monotonic clock, which starts when the node boots.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from er.results.request import Request
from er.results.words import as_different

TRIES = 16  # round trips of one comparison
ALLOWED_SHARE = 0.005  # of the steady window; changes the throughput by at most twice as much


@dataclass(frozen=True)
class Offset:
    """Added to a time of another clock, `offset_s` gives this clock's time to within `bound_s`."""

    offset_s: float
    bound_s: float

    def with_drift(self, later: "Offset") -> "Offset":
        """This offset with a bound that holds from now until `later` was measured."""
        drift_s = abs(later.offset_s - self.offset_s)
        return Offset(self.offset_s, max(self.bound_s, later.bound_s) + drift_s)


def compare(ask: Callable[[], float]) -> Offset:
    """Compare the clock that `ask` reads, in seconds, with this process's monotonic clock.

    The clock was read at some time between request and reply, so half of the round trip bounds the
    error. The shortest of TRIES round trips counts (D. Mills, RFC 5905, the clock filter).
    """
    found = []
    for _ in range(TRIES):
        sent_s = time.monotonic()
        there_s = ask()
        back_s = time.monotonic()
        found.append(Offset((sent_s + back_s) / 2 - there_s, (back_s - sent_s) / 2))
    return min(found, key=lambda offset: offset.bound_s)


def shift(request: Request, offset_s: float) -> None:
    """Convert the times of a request to another clock; times that are not set (0) stay 0."""
    request.send_s += offset_s
    request.token_times_s = [time_s + offset_s for time_s in request.token_times_s]
    for name in ("end_s", "intended_s", "first_answer_s"):
        value = getattr(request, name)
        setattr(request, name, value + offset_s if value else value)


def evidence(offsets: Sequence[Offset]) -> dict[str, float]:
    """Evidence of a point: the offset of each node's clock, and how far two clocks may be apart.

    Seconds, nodes in order; empty when all times are of one clock.
    """
    if not offsets:
        return {}
    named = {f"clock_{at}_offset_s": offset.offset_s for at, offset in enumerate(offsets)}
    return {"load_nodes": len(offsets), "clock_bound_s": bound_s(offsets), **named}


def bound_s(offsets: Sequence[Offset]) -> float:
    """How far apart, at most, two nodes may record the same moment: the two largest bounds."""
    return sum(sorted(offset.bound_s for offset in offsets)[-2:])


def doubts(offsets: Sequence[Offset], window_s: float) -> list[str]:
    """The reason, if any, not to believe a point whose steady window lasts `window_s`."""
    apart_s, allowed_s = bound_s(offsets), ALLOWED_SHARE * window_s
    if not offsets or apart_s <= allowed_s:
        return []
    apart_ms, allowed_ms = as_different(apart_s * 1e3, allowed_s * 1e3, 2)
    return [
        f"clocks of the load generator's nodes may be {apart_ms} ms apart (at most {allowed_ms} "
        f"ms, {ALLOWED_SHARE:.1%} of the steady window): measure longer, or set "
        "cluster.load_nodes=1"
    ]
