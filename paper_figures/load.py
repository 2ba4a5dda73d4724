"""The load generator's picture: latencies and throughput over concurrency, and what it achieved.

`python -m paper_figures.load` draws the newest run of `python -m er.load` that MLflow holds.
"""

import math
import sys
from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from er.results.point import Point, Summary
from er.tracking.query import PublishedRun
from paper_figures import command, style, view
from paper_figures.looks import COLOURS

STUDY = "load"
ONE_RUN = True
NEEDS = ("points",)

AIR = 1.5  # factor above and below, so that noise on an even curve looks like noise
MEDIAN, TAIL = COLOURS[:2]


def figure(runs: Sequence[PublishedRun]) -> Figure:
    """Of the newest run: three latencies, throughput, and requests in flight over time."""
    run = view.newest(runs)
    narrow = style.narrow()
    drawn = plt.figure(figsize=style.size(22 if narrow else 11), layout="constrained")
    grid = drawn.add_gridspec(5, 1) if narrow else drawn.add_gridspec(2, 3)
    below = [grid[row, 0] for row in range(5)] if narrow else []
    places = below or [*(grid[0, at] for at in range(3)), grid[1, 0], grid[1, 1:]]
    ttft, tpot, e2e, throughput, in_flight = map(drawn.add_subplot, places)
    _latency(ttft, run, lambda point: point.ttft_s, "Time to first token", 1e3, "ms")
    _latency(tpot, run, lambda point: point.tpot_s, "Time per output token", 1e3, "ms")
    _latency(e2e, run, lambda point: point.e2e_s, "End-to-end latency", 1, "s")
    _throughput(throughput, run)
    _in_flight(in_flight, run)
    return style.finish(drawn, run.title, [run])


def _latency(
    axes: Axes,
    run: PublishedRun,
    of: Callable[[Point], Summary],
    title: str,
    scale: float,
    unit: str,
) -> None:
    """Median and 95th percentile, each with its 95% confidence interval where it has one."""
    good = [point for point in run.points if not point.invalid]
    concurrencies = [point.concurrency for point in good]
    for share, colour, line in (("p50", MEDIAN, "-"), ("p95", TAIL, "--")):

        def values(name: str) -> list[float]:
            return [getattr(of(point), name) * scale for point in good]

        axes.plot(
            concurrencies, values(share), line, marker="o", markersize=4, color=colour, label=share
        )
        has_interval = any(map(math.isfinite, values(f"{share}_low")))
        axes.fill_between(
            concurrencies, values(f"{share}_low"), values(f"{share}_high"), color=colour,
            **style.INTERVAL,
        )  # fmt: skip
        axes.vlines(
            concurrencies, values(f"{share}_low"), values(f"{share}_high"), color=colour,
            label=f"95% interval of {share}" if has_interval else "", **style.INTERVAL_BAR,
        )  # fmt: skip
    _hollow(axes, run, lambda point: of(point).p50 * scale)
    style.over_concurrency(axes, [point.concurrency for point in run.points])
    style.log_values(axes.yaxis)
    low, high = axes.get_ylim()
    if low > 0:  # else nothing is drawn
        axes.set_ylim(low / AIR, high * AIR)
    axes.set(title=title, ylabel=f"[{unit}]")


def _throughput(axes: Axes, run: PublishedRun) -> None:
    good = [point for point in run.points if not point.invalid]
    axes.plot(
        [point.concurrency for point in good],
        [point.tokens_per_s for point in good],
        marker="o",
        markersize=4,
        color=MEDIAN,
    )
    _hollow(axes, run, lambda point: point.tokens_per_s)
    style.over_concurrency(axes, [point.concurrency for point in run.points])
    axes.set(title="Throughput", ylabel="[tokens/s]")
    axes.set_ylim(bottom=0)


def _in_flight(axes: Axes, run: PublishedRun) -> None:
    """Each point from its first send to its last end, beside what was asked for; marked is where
    the time begins and ends over which throughput is taken."""
    drawn = [point for point in run.points if point.in_flight]
    colours = sns.color_palette("viridis", len(drawn))
    for point, colour in zip(drawn, colours, strict=True):
        doubt = ", invalid" if point.invalid else ""
        axes.stairs(
            np.array(point.in_flight) / point.concurrency,
            np.linspace(0, 100, len(point.in_flight) + 1),
            color=colour,
            linestyle=":" if point.invalid else "-",
            label=f"{point.concurrency} user{'s' if point.concurrency > 1 else ''}{doubt}",
        )
        window_s = np.array([point.window_from_s, point.window_from_s + point.duration_s])
        lasts_s = point.in_flight_bin_s * len(point.in_flight)
        axes.plot(100 * window_s / lasts_s, [1, 1], "|", color=colour, markersize=12)
    axes.axhline(1, color="0.6", linewidth=0.8)
    axes.set(
        title="Requests in flight (| | measured window)",
        xlabel="of the point's time [%]",
        ylabel="for each user asked for",
        xlim=(0, 100),
    )
    axes.set_ylim(bottom=0)


def _hollow(axes: Axes, run: PublishedRun, value: Callable[[Point], float]) -> None:
    invalid = [point for point in run.points if point.invalid]
    axes.scatter(
        [point.concurrency for point in invalid],
        [value(point) for point in invalid],
        facecolors="white",
        edgecolors=MEDIAN,
        zorder=4,
        label="hollow: invalid (p50), in no curve" if invalid else None,
    )


if __name__ == "__main__":
    sys.exit(command.main("load"))
