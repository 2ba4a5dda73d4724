"""Clocks of several nodes, compared: times of one are taken to another.

Times are of each node's monotonic clock, which begins when the node does.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from er.results.request import Request
from er.results.words import as_different

TRIES = 16
ALLOWED_SHARE = 0.005  # of the steady window: moves its throughput by up to twice as much


@dataclass(frozen=True)
class Offset:
    """What is added to a time of another clock to have it on this one's, at most `bound_s` off."""

    offset_s: float
    bound_s: float

    def with_drift(self, later: "Offset") -> "Offset":
        """This one, as it holds until `later` was measured."""
        drift_s = abs(later.offset_s - self.offset_s)
        return Offset(self.offset_s, max(self.bound_s, later.bound_s) + drift_s)


def compare(ask: Callable[[], float]) -> Offset:
    """Compare a clock, which `ask` reads, with this process's.

    The answer was given between request and answer, so that half of the round trip bounds the
    error; of several tries that with the shortest counts (D. Mills, RFC 5905, the clock filter).
    """
    found = []
    for _ in range(TRIES):
        sent_s = time.monotonic()
        there_s = ask()
        back_s = time.monotonic()
        found.append(Offset((sent_s + back_s) / 2 - there_s, (back_s - sent_s) / 2))
    return min(found, key=lambda offset: offset.bound_s)


def shift(request: Request, offset_s: float) -> None:
    """Take the times of a request to another clock; those that are not there stay so."""
    request.send_s += offset_s
    request.token_times_s = [time_s + offset_s for time_s in request.token_times_s]
    for name in ("end_s", "intended_s", "first_answer_s"):
        value = getattr(request, name)
        setattr(request, name, value + offset_s if value else value)


def known(offsets: Sequence[Offset]) -> dict[str, float]:
    """The offset of each node's clock, in order, and how far two of them may be apart, as evidence
    of a point; nothing where all times are of one clock."""
    if not offsets:
        return {}
    named = {f"clock_{at}_offset_s": offset.offset_s for at, offset in enumerate(offsets)}
    return {"load_nodes": len(offsets), "clock_bound_s": bound_s(offsets), **named}


def bound_s(offsets: Sequence[Offset]) -> float:
    """How far times of two nodes may be apart that are the same."""
    return sum(sorted(offset.bound_s for offset in offsets)[-2:])


def doubts(offsets: Sequence[Offset], window_s: float) -> list[str]:
    """Why not to believe a point whose steady window is so long."""
    apart_s, allowed_s = bound_s(offsets), ALLOWED_SHARE * window_s
    if not offsets or apart_s <= allowed_s:
        return []
    apart_ms, allowed_ms = as_different(apart_s * 1e3, allowed_s * 1e3, 2)
    return [
        f"clocks of the load generator's nodes may be {apart_ms} ms apart (at most {allowed_ms} "
        f"ms, {ALLOWED_SHARE:.1%} of the steady window): measure longer, or set "
        "cluster.load_nodes=1"
    ]
