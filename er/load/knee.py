"""Walk a ladder of concurrencies, or bisect it for the most users that a server sustains."""

from collections.abc import Callable
from dataclasses import dataclass

from er.config import Load
from er.results.point import Point
from er.results.words import as_different, count_of


@dataclass(frozen=True)
class Knee:
    """The most users of the ladder whose point is valid and keeps the limits; 0 without any."""

    max_concurrency: int
    bounded_by: str  # the fault at the next concurrency of the ladder; "" at its top
    ttft_at_most_s: float  # the limits on the 95th percentiles
    tpot_at_most_s: float


def walk(load: Load, measure: Callable[[int], Point]) -> Knee | None:
    """Measure every concurrency; with load.find_knee, bisect for the knee and return it.

    A bisection measures about log2 of the concurrencies: a server that sustains N users also
    sustains fewer.
    """
    if not load.find_knee:
        for concurrency in load.concurrency:
            measure(concurrency)
        return None
    max_concurrency, bounded_by = 0, ""
    low, high = -1, len(load.concurrency)
    while high - low > 1:
        middle = (low + high) // 2
        reason = describe_excess(measure(load.concurrency[middle]), load)
        if reason:
            high, bounded_by = middle, reason
        else:
            low, max_concurrency = middle, load.concurrency[middle]
    return Knee(max_concurrency, bounded_by, load.ttft_at_most_s, load.tpot_at_most_s)


def describe_excess(point: Point, load: Load) -> str:
    """Why a point does not count as sustained; empty when it is valid and keeps both limits."""
    users = count_of(point.concurrency, "user")
    if point.invalid:
        return f"the point of {users} is invalid: {point.invalid[0]}"
    for name, p95_s, limit_s in (
        ("TTFT", point.ttft_s.p95, load.ttft_at_most_s),
        ("TPOT", point.tpot_s.p95, load.tpot_at_most_s),
    ):
        if p95_s > limit_s:
            return f"{name} p95 is {as_different(p95_s, limit_s, 3, 'g')[0]} s at {users}"
    return ""


def describe(knee: Knee) -> str:
    """The knee in one line."""
    why = f" ({knee.bounded_by})" if knee.bounded_by else " (the top of load.concurrency)"
    return (
        f"most users with TTFT p95 <= {knee.ttft_at_most_s:g} s and "
        f"TPOT p95 <= {knee.tpot_at_most_s:g} s: {knee.max_concurrency or 'none'}{why}"
    )
