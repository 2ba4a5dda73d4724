"""How many users a server bears: the knee of its latency over concurrency."""

from collections.abc import Callable, Sequence

from er.config import Load
from er.points import Point
from er.results import Request


def most_users(ladder: Sequence[int], bears: Callable[[int], bool]) -> int:
    """The most users of the rising `ladder` that `bears` says yes to; 0 when it is none.

    Bisects, so it asks for about log2(len(ladder)) of them: who bears N users bears fewer too.
    """
    low, high = -1, len(ladder)
    while high - low > 1:
        middle = (low + high) // 2
        if bears(ladder[middle]):
            low = middle
        else:
            high = middle
    return ladder[low] if low >= 0 else 0


def within_limits(point: Point, load: Load) -> bool:
    """Whether a point is valid and keeps the limits on its 95th percentiles."""
    return (
        not point.invalid
        and not point.ttft_s.p95 > load.ttft_at_most_s
        and not point.tpot_s.p95 > load.tpot_at_most_s
    )


def goodput(requests: Sequence[Request], load: Load) -> float:
    """Share of the measured requests that kept both limits; failed ones have not."""
    measured = [request for request in requests if not request.warmup]
    good = [
        request
        for request in measured
        if request.ok
        and not request.ttft_s > load.ttft_at_most_s
        and not request.tpot_s > load.tpot_at_most_s
    ]
    return len(good) / len(measured) if measured else 0.0
