"""The load generator's picture: latencies and throughput over concurrency, and what it achieved.

`python -m paper_figures.load` draws the newest run of `python -m er.load` that MLflow holds.
"""

import sys
from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from er.results.point import Point, Summary
from er.tracking.query import PublishedRun
from paper_figures import command, style

STUDY = "load"

AIR = 1.5  # factor above and below, so that noise on an even curve looks like noise
MEDIAN, TAIL, INVALID = "#0173b2", "#de8f05", "#d55e00"


def figure(runs: Sequence[PublishedRun]) -> Figure:
    """Of the newest run: three latencies, throughput, and requests in flight over time."""
    run = max(runs, key=lambda run: run.started)
    drawn = plt.figure(figsize=(12, 7), layout="constrained")
    grid = drawn.add_gridspec(2, 3)
    ttft = drawn.add_subplot(grid[0, 0])
    _latency(ttft, run, lambda point: point.ttft_s, "Time to first token", 1e3, "ms")
    tpot = drawn.add_subplot(grid[0, 1])
    _latency(tpot, run, lambda point: point.tpot_s, "Time per output token", 1e3, "ms")
    e2e = drawn.add_subplot(grid[0, 2])
    _latency(e2e, run, lambda point: point.e2e_s, "End-to-end latency", 1, "s")
    _throughput(drawn.add_subplot(grid[1, 0]), run)
    _in_flight(drawn.add_subplot(grid[1, 1:]), run)
    drawn.suptitle(f"{run.title}: measured at the client", fontweight="bold")
    handles, labels = ttft.get_legend_handles_labels()
    drawn.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=4,
        frameon=False,
        title=style.footnote([run]),
        title_fontsize=7,
    )
    return drawn


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
    users = [point.concurrency for point in good]
    for share, colour, line in (("p50", MEDIAN, "-"), ("p95", TAIL, "--")):

        def values(name: str) -> list[float]:
            return [getattr(of(point), name) * scale for point in good]

        axes.plot(users, values(share), line, marker="o", markersize=4, color=colour, label=share)
        axes.fill_between(
            users, values(f"{share}_low"), values(f"{share}_high"), color=colour, alpha=0.2,
            label=f"95% interval of {share}",
        )  # fmt: skip
    _crosses(axes, run, lambda point: of(point).p50 * scale)
    _over_users(axes, run)
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(low / AIR, high * AIR)
    style.plain_log_ticks(axes.yaxis)
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
    _crosses(axes, run, lambda point: point.tokens_per_s)
    _over_users(axes, run)
    axes.set(title="Throughput", ylabel="[tokens/s]")
    axes.set_ylim(bottom=0)


def _in_flight(axes: Axes, run: PublishedRun) -> None:
    """Each point from its first send to its last end, beside what was asked for."""
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
    axes.axhline(1, color="0.6", linewidth=0.8)
    axes.set(
        title="Requests in flight",
        xlabel="of the point's time [%]",
        ylabel="for each user asked for",
        xlim=(0, 100),
    )
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, ncols=2, loc="lower center")


def _crosses(axes: Axes, run: PublishedRun, value: Callable[[Point], float]) -> None:
    doubted = [point for point in run.points if point.invalid]
    axes.scatter(
        [point.concurrency for point in doubted],
        [value(point) for point in doubted],
        c=INVALID,
        marker="x",
        s=60,
        label="invalid point (p50), not part of any curve" if doubted else None,
    )


def _over_users(axes: Axes, run: PublishedRun) -> None:
    ladder = [point.concurrency for point in run.points]
    axes.set_xscale("log", base=2)
    axes.set_xticks(ladder, [str(users) for users in ladder])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="Concurrent users")


if __name__ == "__main__":
    sys.exit(command.main("load"))
