"""What figures show of points over concurrency: a latency, or a throughput."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from er.results.point import Point, Summary
from er.tracking.query import PublishedRun

Range = tuple[float, float]


@dataclass(frozen=True)
class Quantity:
    """What a figure shows of each point of a run."""

    axis: str
    value: Callable[[PublishedRun, Point], float]
    interval: Callable[[Point], Range] | None = None  # 95%; None: the data has none
    bounds: Callable[[PublishedRun, Point], Range] | None = None  # of a predicted point; NaN: none
    column: str = ""  # of the requests, in seconds
    unit_s: float = 1.0  # of the axis
    tail: Callable[[PublishedRun, Point], float] | None = None  # its 95th percentile, if drawn


def latency(axis: str, name: str, unit: str, *, tail: bool = False) -> Quantity:
    """The median of a latency of points and requests, such as `ttft_s`, in `s` or `ms`; with its
    95th percentile beside it where `tail`."""
    unit_s = {"s": 1.0, "ms": 1e-3}[unit]

    def of(point: Point) -> Summary:
        summary: Summary = getattr(point, name)
        return summary

    return Quantity(
        f"{axis} [{unit}]",
        lambda _, point: of(point).p50 / unit_s,
        lambda point: (of(point).p50_low / unit_s, of(point).p50_high / unit_s),
        read_bounds(f"{name}.p50", lambda _: unit_s),
        name,
        unit_s,
        (lambda _, point: of(point).p95 / unit_s) if tail else None,
    )


def throughput(per_gpu: bool = False) -> Quantity:
    """Output tokens per second of a deployment, or of each of its GPUs."""

    def unit(run: PublishedRun) -> float:
        return run.gpus if per_gpu else 1.0

    return Quantity(
        "",
        lambda run, point: point.tokens_per_s / unit(run),
        bounds=read_bounds("tokens_per_s", unit),
    )


def read_bounds(
    name: str, unit: Callable[[PublishedRun], float]
) -> Callable[[PublishedRun, Point], Range]:
    """Reads between what a predicted quantity may lie, in a unit; NaN of a measured point."""

    def read(run: PublishedRun, point: Point) -> Range:
        low, high = point.predicted_interval.get(name, (math.nan, math.nan))
        return low / unit(run), high / unit(run)

    return read
