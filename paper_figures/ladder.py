"""What the figures of one ladder share: curves over concurrency, and boxes of its requests."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from er.results.point import Point, Summary
from er.tracking.query import PublishedRun
from paper_figures import style
from paper_figures.looks import Look, looks_of

INTERVAL_LABEL = "95% interval of the median"
BAND_LABEL = "hatched: where a prediction may lie (docs/prediction.md)"
Range = tuple[float, float]


@dataclass(frozen=True)
class Quantity:
    """What a figure shows of each point of a run."""

    axis: str
    value: Callable[[PublishedRun, Point], float]
    interval: Callable[[Point], Range] | None = None  # 95%; None: the data has none
    band: Callable[[PublishedRun, Point], Range] | None = None  # of a predicted point; NaN: none
    column: str = ""  # of the requests, in seconds
    unit_s: float = 1.0  # of the axis


def latency(axis: str, name: str, unit: str) -> Quantity:
    """The median of a latency of points and requests, such as `ttft_s`, in `s` or `ms`."""
    unit_s = {"s": 1.0, "ms": 1e-3}[unit]

    def of(point: Point) -> Summary:
        summary: Summary = getattr(point, name)
        return summary

    return Quantity(
        f"{axis} [{unit}]",
        lambda _, point: of(point).p50 / unit_s,
        lambda point: (of(point).p50_low / unit_s, of(point).p50_high / unit_s),
        read_band(f"{name}.p50", lambda _: unit_s),
        name,
        unit_s,
    )


def throughput(per_gpu: bool = False) -> Quantity:
    """Output tokens per second of a deployment, or of each of its GPUs."""

    def unit(run: PublishedRun) -> float:
        return run.gpus if per_gpu else 1.0

    return Quantity(
        "",
        lambda run, point: point.tokens_per_s / unit(run),
        band=read_band("tokens_per_s", unit),
    )


def read_band(
    name: str, unit: Callable[[PublishedRun], float]
) -> Callable[[PublishedRun, Point], Range]:
    """Reads between what a predicted quantity may lie, in a unit; NaN of a measured point."""

    def band(run: PublishedRun, point: Point) -> Range:
        low, high = point.predicted_interval.get(name, (math.nan, math.nan))
        return low / unit(run), high / unit(run)

    return band


def medians_and_boxes(
    runs: Sequence[PublishedRun], title: str, quantity: Quantity, note: str = ""
) -> Figure:
    """Medians over concurrency on the left, the spread over requests on the right."""
    figure, (left, right) = style.panels(3, 2, sharey=True)
    curves(left, runs, quantity)
    left.set(title="Median", ylabel=quantity.axis)
    boxes(right, runs, quantity)
    right.set_ylabel(quantity.axis if style.narrow() else "")
    style.log_values(left.yaxis)
    style.log_values(right.yaxis)
    return style.finish(figure, title, runs, note=note)


def ttft_and_throughput(runs: Sequence[PublishedRun], title: str, note: str = "") -> Figure:
    """Medians over concurrency on the left, output of the deployments on the right."""
    figure, (left, right) = style.panels(1, 1)
    ttft = latency("Time to first token", "ttft_s", "ms")
    curves(left, runs, ttft)
    left.set(title="Time to first token, median", ylabel=ttft.axis)
    curves(right, runs, throughput())
    right.set(title="Output of the deployment", ylabel="Throughput [tokens/s]")
    for axes in (left, right):
        style.log_values(axes.yaxis)
    return style.finish(figure, title, runs, note=note)


def curves(axes: Axes, runs: Sequence[PublishedRun], quantity: Quantity) -> None:
    """A curve through each run's valid points; its invalid ones hollow, its prediction thin."""
    for run, look in zip(runs, looks_of(runs), strict=True):
        valid = [point for point in run.points if not point.invalid]
        concurrencies = [point.concurrency for point in valid]
        values = [quantity.value(run, point) for point in valid]
        axes.plot(
            concurrencies, values, marker=look.marker, label=look.label, zorder=3, **look.line
        )
        if quantity.interval:
            low, high = zip(*map(quantity.interval, valid), strict=True) if valid else ((), ())
            axes.fill_between(concurrencies, low, high, color=look.colour, **style.INTERVAL)
        bands(axes, run, quantity, look)
        thin(axes, run, quantity, look)
        hollow(axes, run, quantity, look)
    mark(axes, runs, quantity)
    style.over_concurrency(axes, sorted({p.concurrency for run in runs for p in run.points}))


def bands(axes: Axes, run: PublishedRun, quantity: Quantity, look: Look) -> None:
    """Where the predicted points may lie, those of a prediction drawn behind measured ones too."""
    for points in (run.points, run.predicted):
        found = with_band(points)
        if quantity.band and found:
            low, high = zip(*(quantity.band(run, point) for point in found), strict=True)
            concurrencies = [point.concurrency for point in found]
            axes.fill_between(concurrencies, low, high, edgecolor=look.colour, **style.BAND)


def with_band(points: Sequence[Point]) -> list[Point]:
    """The valid points that were predicted with an interval."""
    return [point for point in points if point.predicted_interval and not point.invalid]


def thin(axes: Axes, run: PublishedRun, quantity: Quantity, look: Look) -> None:
    """The same points on a virtual clock, behind the measured ones."""
    concurrencies = [point.concurrency for point in run.predicted]
    values = [quantity.value(run, point) for point in run.predicted]
    axes.plot(concurrencies, values, linewidth=0.6, zorder=2, **look.line)


def hollow(axes: Axes, run: PublishedRun, quantity: Quantity, look: Look) -> None:
    """Invalid points, which are part of no curve."""
    invalid = [point for point in run.points if point.invalid]
    axes.scatter(
        [point.concurrency for point in invalid],
        [quantity.value(run, point) for point in invalid],
        facecolors="white",
        edgecolors=look.colour,
        marker=look.marker,
        zorder=4,
    )


def mark(axes: Axes, runs: Sequence[PublishedRun], quantity: Quantity) -> None:
    """Legend entries for what is not a deployment, where it is drawn."""
    grey: dict[str, Any] = {"color": "0.45"}
    if quantity.interval:
        axes.fill_between([], [], [], label=INTERVAL_LABEL, **grey, **style.INTERVAL)
    if quantity.band and any(with_band([*run.points, *run.predicted]) for run in runs):
        axes.fill_between([], [], [], label=BAND_LABEL, edgecolor="0.45", **style.BAND)
    if any(run.predicted for run in runs):
        axes.plot([], [], linewidth=0.6, label="thin: predicted on a virtual clock", **grey)
    if any(point.invalid for run in runs for point in run.points):
        axes.scatter(
            [], [], facecolors="white", edgecolors="0.45", label="hollow: invalid, in no curve"
        )


def boxes(axes: Axes, runs: Sequence[PublishedRun], quantity: Quantity) -> None:
    """A box for each run, over the requests of all its valid points; it says which and how many."""
    looks = looks_of(runs)
    samples = [
        (run.measured(quantity.column)[quantity.column] / quantity.unit_s).dropna() for run in runs
    ]
    ladders = [[point.concurrency for point in run.points if not point.invalid] for run in runs]
    same_ladder = all(ladder == ladders[0] for ladder in ladders)
    same_count = len(set(map(len, samples))) == 1
    ticks = []
    for look, sample, ladder in zip(looks, samples, ladders, strict=True):
        which = [] if same_ladder else [span(ladder)]
        count = [] if same_count else [f"n={len(sample):,}"]
        ticks.append("\n".join([look.name, *which, *count]))
    drawn = axes.boxplot(samples, tick_labels=ticks, whis=(0, 100), widths=0.6, patch_artist=True)
    if not same_ladder or not same_count:  # more than a letter under each box
        axes.tick_params(axis="x", labelsize="x-small")
    for box, median, look in zip(drawn["boxes"], drawn["medians"], looks, strict=True):
        box.set(facecolor=look.colour, edgecolor="0.2")
        median.set(color="black")
    users = span(ladders[0])
    pooled = (
        f"at {users} user{'' if users == '1' else 's'}" if same_ladder else "of all valid points"
    )
    axes.set_title(f"Requests {pooled}, pooled\nbox: quartiles; whiskers: min, max")
    what = [] if same_ladder else ["users of the valid points"]
    what += [f"n={len(samples[0]):,} each"] if same_count else []
    axes.set_xlabel(", ".join(what))
    axes.grid(visible=False, axis="x")


def span(ladder: Sequence[int]) -> str:
    """Concurrencies in few characters: "1, 2, 4, 8", or the first and the last of many."""
    if len(ladder) <= 5:
        return ", ".join(f"{concurrency:,}" for concurrency in ladder) or "none"
    return f"{ladder[0]:,} to {ladder[-1]:,}"
