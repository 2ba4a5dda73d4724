"""What a median hides: a few requests that wait long, and a point that was played longer."""

from collections.abc import Iterable, Mapping, Sequence

from er.results.consistency import requests_kept
from er.results.labels import count_users
from er.results.point import Point, Summary

TIMES = 3  # a mean above so many medians is one of a few requests that wait long
QUANTILES = {50: "p50", 75: "p75", 95: "p95", 99: "p99"}

Points = Mapping[str, Sequence[Point]]  # the valid ones, by the name of their deployment


def has_tail(summary: Summary) -> bool:
    """Whether a quantity's mean is so far above its median; not where there is no value."""
    return summary.mean > TIMES * summary.p50


def share_of_tail(summary: Summary) -> str:
    """How many exceed `TIMES` medians, such as "5 to 25%": between which quantiles it begins."""
    below = [q for q, name in QUANTILES.items() if getattr(summary, name) <= TIMES * summary.p50]
    above = [q for q in QUANTILES if q not in below]
    return f"{100 - above[0]} to {100 - below[-1]}%" if above else f"up to {100 - below[-1]}%"


def describe_hidden(points: Points, quantity: str) -> str:
    """The longest tail of each deployment, in one sentence, and which points were played longer.

    `quantity` is a latency of points, such as `ttft_s`. Empty without either.
    """
    found = [_longest_tail(name, of, quantity) for name, of in points.items()]
    tails = "; ".join(filter(None, found))
    longer = "; ".join(filter(None, (_played_longer(name, of) for name, of in points.items())))
    parts = [f"the median hides that {tails}" if tails else "", longer]
    return "; ".join(filter(None, parts))


def _longest_tail(name: str, points: Sequence[Point], quantity: str) -> str:
    summaries = [(point.concurrency, getattr(point, quantity)) for point in points]
    tails = [(concurrency, summary) for concurrency, summary in summaries if has_tail(summary)]
    if not tails:
        return ""
    at, worst = max(tails, key=lambda tail: tail[1].mean / tail[1].p50)
    others = _users({concurrency for concurrency, _ in tails} - {at})
    also = f" (less so at {others})" if others else ""
    return (
        f"{share_of_tail(worst)} of {name}'s requests at {count_users(at)} take over {TIMES} times "
        f"as long: mean {worst.mean:.3g} s, p95 {worst.p95:.3g} s{also}"
    )


def _played_longer(name: str, points: Sequence[Point]) -> str:
    """Such as "D at 500, 1,000 users was played until steady, 80 requests a user in place of 5"."""
    longer = {
        point.concurrency: point
        for point in points
        if requests_kept(point) < point.requests + point.cut_requests
    }
    if not longer:
        return ""
    most = max(longer.values(), key=lambda point: point.requests / requests_kept(point))
    each = most.requests // most.concurrency
    usual = requests_kept(most) // most.concurrency
    return (
        f"{name} at {_users(longer)} was played until steady, {each} requests a user in place of "
        f"{usual}"
    )


def _users(concurrencies: Iterable[int]) -> str:
    *fewer, most = sorted(concurrencies) or [0]
    return ", ".join([*(f"{n:,}" for n in fewer), count_users(most)]) if most else ""
