"""From requests to a measured point, and whether that point may be believed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from er.config import Load
from er.results import Request

MISSING = float("nan")
EXACT_CI_AT_MOST = 1000  # values; beyond them the normal approximation is as good


@dataclass(frozen=True)
class Summary:
    """Exact order statistics of one quantity; NaN when there is no value."""

    count: int = 0
    mean: float = MISSING
    min: float = MISSING
    p25: float = MISSING
    p50: float = MISSING
    p75: float = MISSING
    p95: float = MISSING
    p99: float = MISSING
    max: float = MISSING
    p50_low: float = MISSING  # 95% confidence interval of the median
    p50_high: float = MISSING


@dataclass(frozen=True)
class Point:
    """One concurrency of one deployment. Warm-up requests are not in it; failed ones only count.

    `tokens_per_s` and `requests_per_s` are taken from the first send to the last end.
    """

    concurrency: int
    requests: int
    errors: int
    invalid: list[str]  # reasons not to believe the point; empty when it is valid
    duration_s: float
    tokens_per_s: float
    requests_per_s: float
    input_tokens_mean: float
    output_tokens_mean: float
    ttft_s: Summary
    tpot_s: Summary
    itl_s: Summary
    e2e_s: Summary
    token_lateness_p50: float  # share of an engine step; NaN when the engine does not tell
    experts: dict[str, int] = field(default_factory=dict)  # requests by expert
    error_causes: dict[str, int] = field(default_factory=dict)
    client: dict[str, float] = field(default_factory=dict)  # evidence on the load generator


def measure(
    requests: Sequence[Request],
    users: int,
    load: Load,
    doubts: Sequence[str] = (),
    client: dict[str, float] | None = None,
) -> Point:
    """The point that `requests` make at `users` concurrent users.

    `doubts` are reasons from elsewhere not to believe it, `client` the load generator's evidence.
    """
    measured = [request for request in requests if not request.warmup]
    good = [request for request in measured if request.ok]
    duration_s = _duration_s(good)
    tokens = sum(request.output_tokens for request in good)
    lateness = [late for request in good for late in request.token_lateness]
    point = Point(
        concurrency=users,
        requests=len(measured),
        errors=len(measured) - len(good),
        invalid=[],
        client=client or {},
        duration_s=duration_s,
        tokens_per_s=tokens / duration_s if good else 0.0,
        requests_per_s=len(good) / duration_s if good else 0.0,
        input_tokens_mean=_mean([request.input_tokens for request in good]),
        output_tokens_mean=_mean([request.output_tokens for request in good]),
        ttft_s=summarise([request.ttft_s for request in good]),
        tpot_s=summarise([r.tpot_s for r in good if r.output_tokens > 1]),
        itl_s=summarise([gap for r in good for gap in np.diff(r.token_times_s)], independent=False),
        e2e_s=summarise([request.e2e_s for request in good]),
        token_lateness_p50=float(np.median(lateness)) if lateness else MISSING,
        experts=_counts([str(r.expert) for r in measured if r.expert >= 0]),
        error_causes=_counts([r.error or "no tokens" for r in measured if not r.ok]),
    )
    point.invalid.extend([*_doubts(point, measured, load), *doubts])
    return point


def summarise(values: Sequence[float], independent: bool = True) -> Summary:
    """Order statistics by linear interpolation, as numpy's default.

    Only `independent` values have a confidence interval: the gaps of one stream are not.
    """
    if not len(values):
        return Summary()
    quantiles = np.percentile(values, [0, 25, 50, 75, 95, 99, 100])
    low, p25, p50, p75, p95, p99, high = (float(q) for q in quantiles)
    interval = _median_ci(values) if independent else (MISSING, MISSING)
    mean = float(np.mean(values))
    return Summary(len(values), mean, low, p25, p50, p75, p95, p99, high, *interval)


def _median_ci(values: Sequence[float]) -> tuple[float, float]:
    """95% confidence interval of the median: two order statistics, whatever the distribution.

    The number of values above it is binomial(n, 1/2). NaN below 6 values, which have no such
    interval. Source: Hahn and Meeker, Statistical Intervals (1991), distribution-free intervals.
    """
    count = len(values)
    if count <= EXACT_CI_AT_MOST:
        rank, ways, below = 0, 1, 1  # ways to have exactly, and at most, `rank` values below
        while 40 * below <= 2**count:
            rank += 1
            ways = ways * (count - rank + 1) // rank
            below += ways
    else:
        rank = int((count - 1.96 * count**0.5) / 2)
    if rank == 0:
        return MISSING, MISSING
    ordered = np.sort(values)
    return float(ordered[rank - 1]), float(ordered[count - rank])


def _doubts(point: Point, measured: Sequence[Request], load: Load) -> list[str]:
    doubts = []
    if point.errors:
        causes = ", ".join(f"{count} x {cause}" for cause, count in point.error_causes.items())
        doubts.append(f"{point.errors} of {point.requests} requests failed ({causes})")
    if point.requests < load.requests_at_least:
        doubts.append(
            f"only {point.requests} requests, load.requests_at_least is {load.requests_at_least}"
        )
    short = sum(1 for r in measured if r.ok and r.output_tokens != r.max_tokens)
    if short and point.token_lateness_p50 == point.token_lateness_p50:
        doubts.append(f"{short} answers of a simulated engine have not the tokens asked for")
    if point.token_lateness_p50 > load.max_token_lateness:
        doubts.append(
            f"the engine could not keep its clock: tokens late by {point.token_lateness_p50:.0%} "
            f"of a step at the median (at most {load.max_token_lateness:.0%}): use fewer users"
        )
    return doubts


def _duration_s(good: Sequence[Request]) -> float:
    if not good:
        return 0.0
    return max(r.end_s for r in good) - min(r.send_s for r in good)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else MISSING


def _counts(names: Sequence[str]) -> dict[str, int]:
    return {name: names.count(name) for name in sorted(set(names))}
