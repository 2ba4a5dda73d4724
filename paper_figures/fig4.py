"""Figure 4: time to first token over concurrency, and its spread.

`python -m paper_figures.fig4` draws it again from the runs that MLflow holds.
"""

import sys
from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from er.tracking.query import PublishedRun
from paper_figures import command, style

STUDY = "ladder"


def figure(runs: Sequence[PublishedRun]) -> Figure:
    """Medians on the left, spread on the right."""
    drawn, (left, right) = plt.subplots(
        1, 2, figsize=(11, 5), width_ratios=(3, 2), sharey=True, layout="constrained"
    )
    _medians(left, runs)
    _boxes(right, runs)
    drawn.suptitle(f"Time to first token: {style.origin(runs)}", fontweight="bold")
    style.legend(drawn, left, style.footnote(runs))
    return drawn


def _medians(axes: Axes, runs: Sequence[PublishedRun]) -> None:
    ladder = sorted({point.concurrency for run in runs for point in run.points})
    for run in runs:
        good = [point for point in run.points if not point.invalid]
        axes.plot(
            [point.concurrency for point in good],
            [point.ttft_s.p50 * 1e3 for point in good],
            label=style.label(run),
            **style.line(run.deployment),  # type: ignore[arg-type]
        )
    style.predictions(axes, runs, lambda point: point.ttft_s.p50 * 1e3)
    doubted = [(run, point) for run in runs for point in run.points if point.invalid]
    axes.scatter(
        [point.concurrency for _, point in doubted],
        [point.ttft_s.p50 * 1e3 for _, point in doubted],
        c=[style.colour(run.deployment) for run, _ in doubted],
        marker="x",
        s=60,
        label="invalid point, not part of any curve" if doubted else None,
    )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(ladder, [str(users) for users in ladder])
    style.plain_log_ticks(axes.yaxis)
    axes.set(xlabel="Concurrent users", ylabel="Time to first token [ms]", title="Median")


def _boxes(axes: Axes, runs: Sequence[PublishedRun]) -> None:
    parts = [_valid_requests(run) for run in runs]
    requests = pd.concat(parts, ignore_index=True)
    names = [run.deployment.upper() for run in runs]
    sns.boxplot(
        requests,
        x="deployment",
        y="ttft_ms",
        hue="deployment",
        order=names,
        hue_order=names,
        palette=[style.colour(run.deployment) for run in runs],
        whis=(0, 100),
        width=0.6,
        legend=False,
        ax=axes,
    )
    axes.set(
        xlabel="Deployment", ylabel="", title="All requests of valid points; whiskers: min, max"
    )


def _valid_requests(run: PublishedRun) -> pd.DataFrame:
    valid = [point.concurrency for point in run.points if not point.invalid]
    rows = run.requests("concurrency", "warmup", "ok", "send_s", "ttft_s")
    # What came before a point's steady state is not part of it (NaN where nothing was cut).
    since_s = {point.concurrency: point.steady_since_s for point in run.points}
    transient = rows["send_s"] < rows["concurrency"].map(since_s)
    rows = rows[rows["ok"] & ~rows["warmup"] & ~transient & rows["concurrency"].isin(valid)]
    return pd.DataFrame({"deployment": run.deployment.upper(), "ttft_ms": rows["ttft_s"] * 1e3})


if __name__ == "__main__":
    sys.exit(command.main("fig4"))
