"""What a gateway costs: time to first token and throughput behind each, beside none, paired.

`python -m paper_figures.overhead` draws it again from the runs that MLflow holds.
"""

import sys
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from er.results.quantiles import Summary, summarise
from er.tracking.query import PublishedRun
from paper_figures import command, ladder, style
from paper_figures.looks import looks_of, routed

STUDY = "overhead"
NOTE = (
    "Behind a gateway of kind sklearn, scikit-learn's plain pipeline classifies in the event loop. "
    "Paired: of each prompt, the time to first token behind the gateway less that without one."
)
PAIR = ["concurrency", "index"]


def figure(runs: Sequence[PublishedRun]) -> Figure:
    """Medians, the paired difference where a run has no gateway, and throughput."""
    drawn, (left, middle, right) = style.panels(1, 1, 1)
    ttft = ladder.latency("Time to first token", "ttft_s", "ms")
    ladder.curves(left, runs, ttft)
    left.set(title="Time to first token, median", ylabel="[ms]")
    differences(middle, runs)
    middle.set(title="What the gateway adds, paired", ylabel="[ms]")
    ladder.curves(right, runs, ladder.Quantity("", lambda _, point: point.tokens_per_s))
    right.set(title="Output of the deployment", ylabel="[tokens/s]")
    for axes in (left, right):
        style.log_values(axes.yaxis)
    return style.finish(drawn, "What a gateway costs", runs, note=NOTE)


def differences(axes: Axes, runs: Sequence[PublishedRun]) -> None:
    """The median over prompts at each concurrency, with its 95% interval."""
    direct = [run for run in runs if not routed(run)]
    for run, look in zip(runs, looks_of(runs), strict=True):
        if not direct or not routed(run):
            continue
        added = added_s(run, direct[0])
        values = [summary.p50 * 1e3 for summary in added.values()]
        axes.plot(list(added), values, marker=look.marker, zorder=3, **look.line)
        low, high = (
            [getattr(summary, name) * 1e3 for summary in added.values()]
            for name in ("p50_low", "p50_high")
        )
        axes.fill_between(list(added), low, high, color=look.colour, **style.INTERVAL)
    style.over_concurrency(axes, sorted({p.concurrency for run in runs for p in run.points}))


def added_s(run: PublishedRun, direct: PublishedRun) -> dict[int, Summary]:
    """By concurrency: the difference of the same prompt's time to first token, in seconds."""
    sides = [side.measured(*PAIR, "ttft_s").set_index(PAIR)["ttft_s"] for side in (run, direct)]
    difference = (sides[0] - sides[1]).dropna()
    levels = sorted(set(difference.index.get_level_values("concurrency")))
    return {level: summarise(list(difference.loc[level])) for level in levels}


if __name__ == "__main__":
    sys.exit(command.main("overhead"))
