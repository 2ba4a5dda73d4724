"""Curves over concurrency of the runs of a figure, with their intervals."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes

from er.results.point import Point
from er.tracking.query import PublishedRun
from paper_figures import style
from paper_figures.quantities import Quantity
from paper_figures.repeats import Group, by_concurrency, groups_of, means

# A mark covers a narrow interval, and a curve a prediction that is like it.
INTERVAL_LABEL = "pale: 95% interval of the median, if wider than the mark"
OF_REPEATS_LABEL = "pale: 95% interval within a run (mean), if wider than the mark"
THIN_LABEL = "thin: predicted on a virtual clock, if off the curve"
BETWEEN_LABEL = "whiskers: least and greatest of the seeds, if beyond the mark"
RANGE_LABEL = "upright line: where a prediction may lie (docs/prediction.md)"
TAIL_LABEL = "faint, small marks: 95th percentile"
BESIDE_LABEL = "marks of one concurrency stand side by side"
FURTHEST = 2.0  # to the next concurrency, as marks are placed
BESIDE = 0.6  # of the distance to the next concurrency: what the marks of one take


def curves(axes: Axes, runs: Sequence[PublishedRun], quantity: Quantity) -> None:
    """A curve through the valid points of each deployment; its invalid ones hollow, its prediction
    thin. Repeats are one curve, their mean, with whiskers from the least to the greatest."""
    draw(axes, groups_of(runs), quantity)


def draw(axes: Axes, groups: Sequence[Group], quantity: Quantity) -> None:
    """The same of these groups, as they look.

    The marks of a concurrency stand side by side, in the order of the legend: where values are
    alike, none hides another.
    """
    steps = sorted({point.concurrency for group in groups for _, point in group.points()})
    for group, shift in zip(groups, shifts(len(groups), steps), strict=True):
        look = group.look
        concurrencies, values = means(group.valid(), quantity.value)
        axes.plot(
            shifted(concurrencies, shift), values, marker=look.marker, label=group.label,
            zorder=3, **style.MARK, **look.line,
        )  # fmt: skip
        within(axes, group, quantity, shift)
        between(axes, group, quantity, shift)
        ranges(axes, group, quantity, shift)
        thin(axes, group, quantity, shift)
        hollow(axes, group, quantity, shift)
        tail(axes, group, quantity, shift)
    mark(axes, groups, quantity)
    style.over_concurrency(axes, steps)


def shifts(count: int, steps: Sequence[int]) -> list[float]:
    """Factors that put the marks of so many curves beside each other on a logarithmic axis, near
    their concurrency also where few are far apart."""
    apart = min([FURTHEST, *(high / low for low, high in pairwise(steps))])
    return [apart ** (BESIDE * ((place + 0.5) / count - 0.5)) for place in range(count)]


def shifted(concurrencies: Sequence[int], shift: float) -> list[float]:
    """Where the marks of one curve are."""
    return [concurrency * shift for concurrency in concurrencies]


def within(axes: Axes, group: Group, quantity: Quantity, shift: float) -> None:
    """The interval over the requests of a run; of repeats, the mean of both its ends."""
    interval = quantity.interval
    if interval:
        concurrencies, low = means(group.valid(), lambda _, point: interval(point)[0])
        _, high = means(group.valid(), lambda _, point: interval(point)[1])
        at, colour = shifted(concurrencies, shift), group.look.colour
        axes.fill_between(at, low, high, color=colour, **style.INTERVAL)
        axes.vlines(at, low, high, color=colour, **style.INTERVAL_BAR)


def between(axes: Axes, group: Group, quantity: Quantity, shift: float) -> None:
    """From the least to the greatest of the repeats."""
    if not group.repeated:
        return
    spread = by_concurrency(group.valid(), quantity.value)
    low, high = ([end(values) for values in spread.values()] for end in (min, max))
    at, colour = shifted(list(spread), shift), group.look.colour
    axes.vlines(at, low, high, color=colour, zorder=3.5, **style.WHISKER)
    for ends in (low, high):
        axes.scatter(at, ends, marker="_", s=14, color=colour, zorder=3.5,
                     linewidths=style.WHISKER["linewidth"])  # fmt: skip


def ranges(axes: Axes, group: Group, quantity: Quantity, shift: float) -> None:
    """Where the predicted points may lie, those of a prediction drawn behind measured ones too."""
    read = quantity.bounds
    for points in (group.points, group.predicted):
        if read and any(has_bounds(point) for _, point in points()):
            found = [(run, point) for run, point in points() if has_bounds(point)]
            concurrencies, low = means(iter(found), lambda run, point: read(run, point)[0])
            _, high = means(iter(found), lambda run, point: read(run, point)[1])
            axes.vlines(
                shifted(concurrencies, shift), low, high, color=group.look.colour, **style.RANGE
            )


def has_bounds(point: Point) -> bool:
    """Whether it is valid and was predicted with an interval."""
    return bool(point.predicted_interval) and not point.invalid


def has_interval(point: Point, quantity: Quantity) -> bool:
    """Whether it has a 95% interval of this quantity; a predicted one has none."""
    return quantity.interval is not None and all(map(math.isfinite, quantity.interval(point)))


def thin(axes: Axes, group: Group, quantity: Quantity, shift: float) -> None:
    """The same points on a virtual clock, behind the measured ones."""
    concurrencies, values = means(group.predicted(), quantity.value)
    if not concurrencies:
        return
    axes.plot(shifted(concurrencies, shift), values, linewidth=0.6, zorder=2, **group.look.line)


def tail(axes: Axes, group: Group, quantity: Quantity, shift: float) -> None:
    """The 95th percentile of the same points, where the figure shows it."""
    if quantity.tail:
        concurrencies, values = means(group.valid(), quantity.tail)
        axes.plot(
            shifted(concurrencies, shift), values, marker=group.look.marker, **style.TAIL,
            **group.look.line,
        )  # fmt: skip


def hollow(axes: Axes, group: Group, quantity: Quantity, shift: float) -> None:
    """Invalid points, which are part of no curve."""
    invalid = [(run, point) for run, point in group.points() if point.invalid]
    axes.scatter(
        [point.concurrency * shift for _, point in invalid],
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
    if any(has_interval(point, quantity) for group in groups for _, point in group.valid()):
        label = OF_REPEATS_LABEL if repeated else INTERVAL_LABEL
        axes.fill_between([], [], [], label=label, **grey, **{**style.INTERVAL, "alpha": 0.35})
    if repeated:
        axes.plot([], [], "|-", label=BETWEEN_LABEL, markersize=4, **grey, **style.WHISKER)
    if quantity.bounds and any(
        has_bounds(p) for run in runs for p in [*run.points, *run.predicted]
    ):
        axes.plot([], [], "|", label=RANGE_LABEL, markersize=7, markeredgewidth=0.7, **grey)
    if quantity.tail:
        axes.plot([], [], marker="o", label=TAIL_LABEL, **style.TAIL, **grey)
    if any(run.predicted for run in runs):
        axes.plot([], [], linewidth=0.6, label=THIN_LABEL, **grey)
    if any(point.invalid for run in runs for point in run.points):
        axes.scatter(
            [], [], facecolors="white", edgecolors="0.45", label="hollow: invalid, in no curve"
        )
    if len(groups) > 1:
        axes.plot([], [], " ", label=BESIDE_LABEL)
