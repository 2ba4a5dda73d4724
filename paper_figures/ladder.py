"""What the figures of one ladder share: curves over concurrency, and boxes of its requests."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from er.results.point import Point, Summary
from er.tracking.query import PublishedRun
from paper_figures import style
from paper_figures.repeats import Group, by_concurrency, groups_of, means

INTERVAL_LABEL = "95% interval of the median"
OF_REPEATS = " within a run, mean over seeds"
BETWEEN_LABEL = "whiskers: least and greatest of the seeds"
BAND_LABEL = "dotted: where a prediction may lie (docs/prediction.md)"
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
    """Medians over concurrency, and the output of the deployments and of each of their GPUs."""
    figure, panels = style.panels(1, 1, 1)
    ttft = latency("Time to first token", "ttft_s", "ms")
    for axes, quantity, what, axis in (
        (panels[0], ttft, "Time to first token, median", ttft.axis),
        (panels[1], throughput(), "Output of the deployment", "Throughput [tokens/s]"),
        (panels[2], throughput(per_gpu=True), "Output of each GPU", "[tokens/s per GPU]"),
    ):
        curves(axes, runs, quantity)
        axes.set(title=what, ylabel=axis)
        style.log_values(axes.yaxis)
    return style.finish(figure, title, runs, note=note)


def curves(axes: Axes, runs: Sequence[PublishedRun], quantity: Quantity) -> None:
    """A curve through the valid points of each deployment; its invalid ones hollow, its prediction
    thin. Repeats are one curve, their mean, with whiskers from the least to the greatest."""
    groups = groups_of(runs)
    for group in groups:
        look = group.look
        concurrencies, values = means(group.valid(), quantity.value)
        axes.plot(
            concurrencies, values, marker=look.marker, label=group.label, zorder=3, **look.line
        )
        within(axes, group, quantity)
        between(axes, group, quantity)
        bands(axes, group, quantity)
        thin(axes, group, quantity)
        hollow(axes, group, quantity)
    mark(axes, groups, quantity)
    style.over_concurrency(axes, sorted({p.concurrency for run in runs for p in run.points}))


def within(axes: Axes, group: Group, quantity: Quantity) -> None:
    """The interval over the requests of a run; of repeats, the mean of both its ends."""
    interval = quantity.interval
    if interval:
        concurrencies, low = means(group.valid(), lambda _, point: interval(point)[0])
        _, high = means(group.valid(), lambda _, point: interval(point)[1])
        axes.fill_between(concurrencies, low, high, color=group.look.colour, **style.INTERVAL)


def between(axes: Axes, group: Group, quantity: Quantity) -> None:
    """From the least to the greatest of the repeats."""
    if not group.repeated:
        return
    spread = by_concurrency(group.valid(), quantity.value)
    low, high = ([end(values) for values in spread.values()] for end in (min, max))
    axes.vlines(list(spread), low, high, color=group.look.colour, zorder=3.5, **style.WHISKER)
    for ends in (low, high):
        axes.scatter(list(spread), ends, marker="_", s=14, color=group.look.colour, zorder=3.5,
                     linewidths=style.WHISKER["linewidth"])  # fmt: skip


def bands(axes: Axes, group: Group, quantity: Quantity) -> None:
    """Where the predicted points may lie, those of a prediction drawn behind measured ones too."""
    band = quantity.band
    for points in (group.points, group.predicted):
        if band and any(with_band(point) for _, point in points()):
            found = [(run, point) for run, point in points() if with_band(point)]
            concurrencies, low = means(iter(found), lambda run, point: band(run, point)[0])
            _, high = means(iter(found), lambda run, point: band(run, point)[1])
            axes.fill_between(concurrencies, low, high, color=group.look.colour, **style.BAND)
            for ends in (low, high):
                axes.plot(concurrencies, ends, color=group.look.colour, **style.BAND_EDGE)


def with_band(point: Point) -> bool:
    """Whether it is valid and was predicted with an interval."""
    return bool(point.predicted_interval) and not point.invalid


def thin(axes: Axes, group: Group, quantity: Quantity) -> None:
    """The same points on a virtual clock, behind the measured ones."""
    concurrencies, values = means(group.predicted(), quantity.value)
    axes.plot(concurrencies, values, linewidth=0.6, zorder=2, **group.look.line)


def hollow(axes: Axes, group: Group, quantity: Quantity) -> None:
    """Invalid points, which are part of no curve."""
    invalid = [(run, point) for run, point in group.points() if point.invalid]
    axes.scatter(
        [point.concurrency for _, point in invalid],
        [quantity.value(run, point) for run, point in invalid],
        facecolors="white",
        edgecolors=group.look.colour,
        marker=group.look.marker,
        zorder=4,
    )


def mark(axes: Axes, groups: Sequence[Group], quantity: Quantity) -> None:
    """Legend entries for what is not a deployment, where it is drawn."""
    grey: dict[str, Any] = {"color": "0.45"}
    runs = [run for group in groups for run in group.runs]
    repeated = any(group.repeated for group in groups)
    if quantity.interval:
        label = INTERVAL_LABEL + (OF_REPEATS if repeated else "")
        axes.fill_between([], [], [], label=label, **grey, **style.INTERVAL)
    if repeated:
        axes.plot([], [], "|-", label=BETWEEN_LABEL, markersize=4, **grey, **style.WHISKER)
    if quantity.band and any(with_band(p) for run in runs for p in [*run.points, *run.predicted]):
        axes.plot([], [], label=BAND_LABEL, **{**style.BAND_EDGE, **grey})
    if any(run.predicted for run in runs):
        axes.plot([], [], linewidth=0.6, label="thin: predicted on a virtual clock", **grey)
    if any(point.invalid for run in runs for point in run.points):
        axes.scatter(
            [], [], facecolors="white", edgecolors="0.45", label="hollow: invalid, in no curve"
        )


def boxes(axes: Axes, runs: Sequence[PublishedRun], quantity: Quantity) -> None:
    """A box for each deployment, over the requests of all its valid points; it says which and how
    many."""
    groups = groups_of(runs)
    samples = [
        pd.concat([run.measured(quantity.column)[quantity.column] for run in group.runs]).dropna()
        / quantity.unit_s
        for group in groups
    ]
    ladders = [group.ladder for group in groups]
    same_ladder = all(ladder == ladders[0] for ladder in ladders)
    same_count = len(set(map(len, samples))) == 1
    ticks = []
    for group, sample, ladder in zip(groups, samples, ladders, strict=True):
        which = [] if same_ladder else [span(ladder)]
        count = [] if same_count else [f"n={len(sample):,}"]
        ticks.append("\n".join([group.look.name, *which, *count]))
    drawn = axes.boxplot(samples, tick_labels=ticks, whis=(0, 100), widths=0.6, patch_artist=True)
    if not same_ladder or not same_count:  # more than a letter under each box
        axes.tick_params(axis="x", labelsize="x-small")
    for box, median, group in zip(drawn["boxes"], drawn["medians"], groups, strict=True):
        box.set(facecolor=group.look.colour, edgecolor="0.2")
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
