"""Whether a point is what its requests say: an edited file, or one put in another's place, is not.

Where a prediction was played longer than its load, to become steady, its file holds the last
requests alone: their number and range are checked then, not their quantiles.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from er.errors import ErError
from er.results import names
from er.results.point import Point, Summary
from er.results.run_dir import RunDir
from er.results.words import count_of

ALIKE = 1e-6  # of a statistic: sums in another order
COUNTED_ALIKE = 0.01  # of a throughput: what arrives at the very ends of its window
AT_ONCE_S = 1e-8  # of times: the same one
LONGER = re.compile(r"steady only with (\d+) times")  # a note of a prediction
LATENCIES = ("ttft_s", "tpot_s", "e2e_s")
ORDERS = (
    ("min", "p25", "p50", "p75", "p95", "p99", "max"),
    ("min", "mean", "max"),
    *((f"{name}_low", name, f"{name}_high") for name in ("p50", "p95", "p99")),
)
TIMES = ("send_s", "end_s", "token_times_s")
COLUMNS = ("concurrency", "ok", "output_tokens", *TIMES, *LATENCIES)


def require(run: RunDir) -> None:
    """Raise ErError, naming run and point, where a point contradicts itself or its requests."""
    for concurrency, what in of_run(run).items():
        raise ErError(
            f"{run.path.name}: its point of {count_of(concurrency, 'user')} is not what was "
            f"measured: {what}: put {names.POINTS} and {names.REQUESTS}/ back as they were"
        )


def of_run(run: RunDir) -> dict[int, str]:
    """By concurrency: what contradicts a point, in words; points without a doubt are left out."""
    return of_points(run.points(), run, run.read(names.CONFIG))


def of_points(points: Sequence[Point], run: RunDir, config: Mapping[str, Any]) -> dict[int, str]:
    """The same of these points of a run, with its configuration."""
    load = config.get("load", {})
    found: dict[int, str] = {}
    for point in points:
        rows = run.requests_of(point.concurrency, COLUMNS)
        first = next(contradictions(point, rows, load.get("think_time_s") or 0.0,
                                    closed=load.get("arrivals") == "closed_loop"), "")  # fmt: skip
        found |= {point.concurrency: first} if first else {}
    return found


def contradictions(
    point: Point, rows: pd.DataFrame | None, think_time_s: float, *, closed: bool
) -> Iterator[str]:
    """What is wrong with a point: by itself, and by its requests, where they are kept."""
    yield from _disordered(point)
    good = point.requests - point.errors
    for name in ("ttft_s", "e2e_s"):
        count = getattr(point, name).count
        if count != good:
            yield f"{name} is of {count:,} requests, {good:,} were answered"
    users = point.tokens_per_s * (point.e2e_s.mean + think_time_s)
    users = users / point.output_tokens_mean if point.output_tokens_mean else math.nan
    yield from _apart("little_ratio", point.little_ratio, users / point.concurrency, ALIKE)
    if rows is not None:
        yield from _other_than_requests(point, rows, closed=closed)


def _other_than_requests(point: Point, rows: pd.DataFrame, *, closed: bool) -> Iterator[str]:
    others = sorted({*rows["concurrency"]} - {point.concurrency})
    if others:
        yield f"its file has requests of {count_of(int(others[0]), 'user')}"
    longer = LONGER.search(" ".join(map(str, point.notes)))
    times = int(longer[1]) if longer else 1
    measured = rows[rows["measured"]]
    wanted = point.requests + point.cut_requests
    if len(measured) * times != wanted:
        of = f" of {times} times as many" if times > 1 else ""
        yield f"it says {wanted:,} measured requests, its file has {len(measured):,}{of}"
        return
    kept = measured[~(measured["send_s"] < point.steady_since_s)]
    good = kept[kept["ok"]]
    if times > 1:
        yield from _out_of_range(point, good)
        return
    if len(kept) - len(good) != point.errors:
        yield f"it says {point.errors:,} errors, its requests {len(kept) - len(good):,}"
    for name in LATENCIES:
        yield from _other_statistics(name, getattr(point, name), good[name].dropna())
    yield from _apart(
        "output_tokens_mean", point.output_tokens_mean, good["output_tokens"].mean(), ALIKE
    )
    yield from _other_throughput(point, rows, rows if closed else good)


def _disordered(point: Point) -> Iterator[str]:
    """Quantiles that are not in the order that they have by definition."""
    summaries = [field.name for field in fields(point) if field.type is Summary]
    for name in summaries:
        summary = getattr(point, name)
        for order in ORDERS:
            known = [(q, getattr(summary, q)) for q in order if not math.isnan(getattr(summary, q))]
            for (low, less), (high, more) in pairwise(known):
                if less > more * (1 + ALIKE):
                    yield f"{name}.{low} is {less:.6g}, above {name}.{high}, {more:.6g}"


def _other_statistics(name: str, summary: Summary, values: "pd.Series[float]") -> Iterator[str]:
    if values.empty:
        return
    quantiles = np.percentile(values, [0, 50, 95, 99, 100])
    for statistic, value in zip(("min", "p50", "p95", "p99", "max"), quantiles, strict=True):
        yield from _apart(f"{name}.{statistic}", getattr(summary, statistic), float(value), ALIKE)
    yield from _apart(f"{name}.mean", summary.mean, float(values.mean()), ALIKE)


def _out_of_range(point: Point, good: pd.DataFrame) -> Iterator[str]:
    for name in LATENCIES:
        summary, values = getattr(point, name), good[name].dropna()
        low, high = (1 - ALIKE) * summary.min, (1 + ALIKE) * summary.max
        for value in (values.min(), values.max()):
            if not math.isnan(value) and not low <= value <= high:
                yield (
                    f"{name} is from {summary.min:.6g} to {summary.max:.6g}, "
                    f"of one of its requests {value:.6g}"
                )


def _other_throughput(point: Point, rows: pd.DataFrame, counted: pd.DataFrame) -> Iterator[str]:
    if math.isnan(point.window_from_s) or not point.duration_s:
        return
    from_s = rows["send_s"].min() + point.window_from_s
    until_s = from_s + point.duration_s
    arrived = np.concatenate(counted["token_times_s"].to_list()) if len(counted) else np.empty(0)
    ended = counted.loc[counted["ok"], "end_s"].to_numpy()
    for name, times_s in (("tokens_per_s", arrived), ("requests_per_s", ended)):
        inside = (times_s > from_s + AT_ONCE_S) & (times_s <= until_s + AT_ONCE_S)
        value = np.count_nonzero(inside) / point.duration_s
        yield from _apart(name, getattr(point, name), value, COUNTED_ALIKE)


def _apart(name: str, told: float, value: float, tolerance: float) -> Iterator[str]:
    """A statistic of a point and the value that its requests give, where they differ."""
    if math.isnan(told) or math.isnan(value):
        return
    if abs(told - value) > tolerance * max(abs(told), abs(value)) + 1e-9:
        yield f"{name} is {told:.6g}, by its requests {value:.6g}"
