"""Whether a point agrees with its requests: after an edit, or a swap of files, it does not.

A prediction that was simulated for longer than its load, until it was steady, keeps only its last
requests. For such a point the number and the range of requests are checked, not the quantiles.
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
from er.results.request_table import LATENCIES
from er.results.run_dir import RunDir
from er.results.words import count_of

ROUNDING = 1e-6  # relative: the same sum in another order
THROUGHPUT_TOLERANCE = 0.01  # relative: arrivals at the very ends of the window
TIME_TOLERANCE_S = 1e-8  # rounding of a time on the clock of the requests
# A note of `er.study.settling`.
LONGER = re.compile(r"steady only with .*; of its [\d,]+ requests the last ([\d,]+) are kept")
ORDERS = (
    ("min", "p25", "p50", "p75", "p95", "p99", "max"),
    ("min", "mean", "max"),
    *((f"{name}_low", name, f"{name}_high") for name in ("p50", "p95", "p99")),
)
TIMES = ("send_s", "end_s", "token_times_s")
COLUMNS = ("concurrency", "ok", "output_tokens", *TIMES, *LATENCIES)


def require_consistent(run: RunDir) -> None:
    """Raise ErError, naming run and point, when a point contradicts itself or its requests."""
    for concurrency, what in contradictions_of_run(run).items():
        raise ErError(
            f"{run.path.name}: its point of {count_of(concurrency, 'user')} is not what was "
            f"measured: {what}: put {names.POINTS} and {names.REQUESTS}/ back as they were"
        )


def contradictions_of_run(run: RunDir) -> dict[int, str]:
    """By concurrency: the first contradiction of each inconsistent point, in words."""
    return contradictions_of_points(run.points(), run, run.read(names.CONFIG))


def contradictions_of_points(
    points: Sequence[Point], run: RunDir, config: Mapping[str, Any]
) -> dict[int, str]:
    """By concurrency: the first contradiction of each inconsistent one of these points of a run.

    `config` is the run's configuration as JSON has it.
    """
    load = config.get("load", {})
    think_time_s, closed = load.get("think_time_s") or 0.0, load.get("arrivals") == "closed_loop"
    found: dict[int, str] = {}
    for point in points:
        requests = run.requests_of(point.concurrency, COLUMNS)
        for first in find_contradictions(point, requests, think_time_s, closed=closed):
            found[point.concurrency] = first
            break
    return found


def find_contradictions(
    point: Point, requests: pd.DataFrame | None, think_time_s: float, *, closed: bool
) -> Iterator[str]:
    """Each contradiction within a point, and between it and its requests if they were kept."""
    yield from _check_order(point)
    good = point.requests - point.errors
    for name in ("ttft_s", "e2e_s"):
        count = getattr(point, name).count
        if count != good:
            yield f"{name} is of {count:,} requests, {good:,} were answered"
    users = point.tokens_per_s * (point.e2e_s.mean + think_time_s)
    users = users / point.output_tokens_mean if point.output_tokens_mean else math.nan
    yield from _compare("little_ratio", point.little_ratio, users / point.concurrency)
    if requests is not None:
        yield from _check_requests(point, requests, closed=closed)


def requests_kept(point: Point) -> int:
    """How many measured requests its file holds: fewer than there were, the last ones, of a point
    that was played longer to become steady."""
    longer = LONGER.search(" ".join(map(str, point.notes)))
    return int(longer[1].replace(",", "")) if longer else point.requests + point.cut_requests


def _check_requests(point: Point, rows: pd.DataFrame, *, closed: bool) -> Iterator[str]:
    """Number, statistics and throughput of a point against its requests, a row for each."""
    others = sorted({*rows["concurrency"]} - {point.concurrency})
    if others:
        yield f"its file has requests of {count_of(int(others[0]), 'user')}"
    every, wanted = point.requests + point.cut_requests, requests_kept(point)
    measured = rows[rows["measured"]]
    if len(measured) != wanted:
        said = f"{every:,} measured requests"
        said += f", of which the last {wanted:,} are kept" if wanted != every else ""
        yield f"it says {said}, its file has {len(measured):,}"
        return
    kept = measured[~(measured["send_s"] < point.steady_since_s)]
    good = kept[kept["ok"]]
    if wanted != every:
        yield from _check_range(point, good)
        return
    if len(kept) - len(good) != point.errors:
        yield f"it says {point.errors:,} errors, its requests {len(kept) - len(good):,}"
    for name in LATENCIES:
        yield from _check_statistics(name, getattr(point, name), good[name].dropna())
    yield from _compare(
        "output_tokens_mean",
        point.output_tokens_mean,
        good["output_tokens"].mean(),
        ROUNDING,
    )
    yield from _check_throughput(point, rows, rows if closed else good)


def _check_order(point: Point) -> Iterator[str]:
    """Quantiles and bounds must rise, as they do by definition."""
    summaries = [field.name for field in fields(point) if field.type is Summary]
    for name in summaries:
        summary = getattr(point, name)
        for order in ORDERS:
            known = [(q, getattr(summary, q)) for q in order if not math.isnan(getattr(summary, q))]
            for (low, less), (high, more) in pairwise(known):
                if less > more * (1 + ROUNDING):
                    yield f"{name}.{low} is {less:.6g}, above {name}.{high}, {more:.6g}"


def _check_statistics(name: str, summary: Summary, values: "pd.Series[float]") -> Iterator[str]:
    """Quantiles and mean of one latency against its values."""
    if values.empty:
        return
    quantiles = np.percentile(values, [0, 50, 95, 99, 100])
    for statistic, value in zip(("min", "p50", "p95", "p99", "max"), quantiles, strict=True):
        yield from _compare(f"{name}.{statistic}", getattr(summary, statistic), float(value))
    yield from _compare(f"{name}.mean", summary.mean, float(values.mean()))


def _check_range(point: Point, good: pd.DataFrame) -> Iterator[str]:
    """The lowest and the highest latency of a sample against those of the point."""
    for name in LATENCIES:
        summary, values = getattr(point, name), good[name].dropna()
        low, high = (1 - ROUNDING) * summary.min, (1 + ROUNDING) * summary.max
        for value in (values.min(), values.max()):
            if not math.isnan(value) and not low <= value <= high:
                yield (
                    f"{name} is from {summary.min:.6g} to {summary.max:.6g}, "
                    f"of one of its requests {value:.6g}"
                )


def _check_throughput(point: Point, rows: pd.DataFrame, counted: pd.DataFrame) -> Iterator[str]:
    """Tokens and requests per second against what the `counted` requests have in the window."""
    if math.isnan(point.window_from_s) or not point.duration_s:
        return
    from_s = rows["send_s"].min() + point.window_from_s
    until_s = from_s + point.duration_s
    arrived = np.concatenate(counted["token_times_s"].to_list()) if len(counted) else np.empty(0)
    ended = counted.loc[counted["ok"], "end_s"].to_numpy()
    for name, times_s in (("tokens_per_s", arrived), ("requests_per_s", ended)):
        inside = (times_s > from_s + TIME_TOLERANCE_S) & (times_s <= until_s + TIME_TOLERANCE_S)
        value = np.count_nonzero(inside) / point.duration_s
        yield from _compare(name, getattr(point, name), value, THROUGHPUT_TOLERANCE)


def _compare(
    name: str, recorded: float, value: float, tolerance: float = ROUNDING
) -> Iterator[str]:
    """Report a recorded statistic that differs from the value that the requests give."""
    if math.isnan(recorded) or math.isnan(value):
        return
    if abs(recorded - value) > tolerance * max(abs(recorded), abs(value)) + 1e-9:
        yield f"{name} is {recorded:.6g}, by its requests {value:.6g}"
