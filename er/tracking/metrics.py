"""Points as MLflow's metrics at step = concurrency, grouped as the charts page shows them.

The page sorts groups, the part of a name before the slash, by letter: latency and throughput come
first, then what was sent, then whether to believe it.
"""

import math
from collections.abc import Sequence

from mlflow.entities import Metric

from er.results.point import Point

LATENCIES = ("ttft", "ttft_intended", "tpot", "itl", "e2e")
SHARES = ("p50", "p95", "p99")
INVALID = "validity/invalid_"  # latencies and throughputs of an invalid point never join a curve
VALID = "validity/valid"  # 1 or 0


def metrics(points: Sequence[Point], at_ms: int) -> list[Metric]:
    """The metrics of a run's points; quantities without a value, or 0 at every point, are left out.

    `at_ms` is one moment for all, so that a point logged again is the same to MLflow.
    """
    values = {point.concurrency: values_of(point) for point in points}
    shown = {
        name for named in values.values() for name, value in named.items() if value or name == VALID
    }
    return [
        Metric(name, value, at_ms, concurrency)
        for concurrency, named in values.items()
        for name, value in named.items()
        if name in shown
    ]


def values_of(point: Point) -> dict[str, float]:
    """What one point says, by the name of the metric."""
    values: dict[str, float] = {}
    for quantity in LATENCIES:
        summary = getattr(point, f"{quantity}_s")
        if quantity != "ttft_intended" or summary != point.ttft_s:  # alike in a closed loop
            values |= {f"latency/{quantity}_{p}_s": getattr(summary, p) for p in SHARES}
    if point.reasoning_tokens_mean > 0:
        values["traffic/reasoning_tokens_mean"] = point.reasoning_tokens_mean
        values |= {f"latency/answer_ttft_{p}_s": getattr(point.answer_ttft_s, p) for p in SHARES}
    values |= {
        "throughput/goodput": point.goodput,
        "throughput/requests_per_s": point.requests_per_s,
        "throughput/tokens_per_s": point.tokens_per_s,
    }
    if point.invalid:
        values = {f"{INVALID}{name.partition('/')[2]}": value for name, value in values.items()}
    values |= {
        "traffic/duration_s": point.duration_s,
        "traffic/input_tokens_mean": point.input_tokens_mean,
        "traffic/output_tokens_mean": point.output_tokens_mean,
        "traffic/requests": float(point.requests),
        VALID: 0.0 if point.invalid else 1.0,
        "validity/cut_requests": float(point.cut_requests),
        "validity/failed_requests": float(point.errors),
        "validity/little_ratio": point.little_ratio,
        "validity/token_lateness_p50": point.token_lateness_p50,
    }
    for name, value in point.client.items():
        group, _, rest = name.partition("_")
        shown = f"gpu/{rest}" if group == "gpu" else f"validity/client_{name}"
        values[shown] = float(value)
    return {name: value for name, value in values.items() if not math.isnan(value)}
