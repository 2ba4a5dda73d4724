"""What a gateway costs: time to first token and throughput behind each, beside none, paired.

`python -m paper_figures.overhead` draws it again from the runs that MLflow holds.
"""

import sys
from collections.abc import Iterator, Sequence
from statistics import mean

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from er.results.labels import count_users
from er.results.quantiles import Summary, summarise
from er.tracking.query import PublishedRun
from paper_figures import command, ladder, style
from paper_figures.looks import routed
from paper_figures.repeats import Group, groups_of

STUDY = "overhead"
NEEDS = ("points", "deployment")
NOTE = (
    "Behind a gateway of kind sklearn, scikit-learn's plain pipeline classifies in the event loop. "
    "Paired: of each prompt, the time to first token behind the gateway less that without one."
)
PAIR = ["concurrency", "index"]
Pair = tuple[PublishedRun, PublishedRun]  # behind a gateway, and without one


def figure(runs: Sequence[PublishedRun]) -> Figure:
    """Medians, the paired difference where a run has no gateway, and throughput."""
    drawn, (left, middle, right) = style.panels(1, 1, 1)
    ttft = ladder.latency("Time to first token", "ttft_s", "ms")
    ladder.curves(left, runs, ttft)
    left.set(title="Median", ylabel="Time to first token [ms]")
    differences(middle, runs)
    middle.set(title="What the gateway adds, paired", ylabel="Difference [ms]")
    ladder.curves(right, runs, ladder.Quantity("", lambda _, point: point.tokens_per_s))
    right.set(title="Output of the deployment", ylabel="Throughput [tokens/s]")
    for axes in (left, right):
        style.log_values(axes.yaxis)
    return style.finish(drawn, "What a gateway costs", runs, note=NOTE)


def differences(axes: Axes, runs: Sequence[PublishedRun]) -> None:
    """The median over prompts at each concurrency, with its 95% interval."""
    for group, pairs in paired(runs):
        added, look = added_s(pairs), group.look
        values = [summary.p50 * 1e3 for summary in added.values()]
        axes.plot(list(added), values, marker=look.marker, zorder=3, **look.line)
        low, high = (
            [getattr(summary, name) * 1e3 for summary in added.values()]
            for name in ("p50_low", "p50_high")
        )
        axes.fill_between(list(added), low, high, color=look.colour, **style.INTERVAL)
    style.over_concurrency(axes, sorted({p.concurrency for run in runs for p in run.points}))


def paired(runs: Sequence[PublishedRun]) -> Iterator[tuple[Group, list[Pair]]]:
    """Each gateway's runs, beside those of the same seed without one."""
    direct = {run.config["seed"]: run for run in runs if not routed(run)}
    for group in groups_of(runs):
        pairs = [(run, direct[run.config["seed"]]) for run in group.runs
                 if routed(run) and run.config["seed"] in direct]  # fmt: skip
        if pairs:
            yield group, pairs


def summary(runs: Sequence[PublishedRun]) -> list[str]:
    """For a terminal: what each gateway adds and takes, at the fewest and the most users."""
    lines = []
    for group, pairs in paired(runs):
        added, kept = added_s(pairs), kept_throughput(pairs)
        levels = [level for level in added if level in kept]
        ends = [
            f"{added[level].p50 * 1e3:+.1f} ms and {kept[level]:.3f} of the throughput at "
            f"{count_users(level)}"
            for level in dict.fromkeys([*levels[:1], *levels[-1:]])
        ]
        if ends:
            name = group.runs[0].config["gateway"]["kind"]
            lines.append(f"gateway {name}, against none: {', '.join(ends)}")
    return lines


def kept_throughput(pairs: Sequence[Pair]) -> dict[int, float]:
    """By concurrency: throughput behind a gateway over that without one, the mean over seeds."""
    ratios: dict[int, list[float]] = {}
    for through, direct in pairs:
        without = {p.concurrency: p.tokens_per_s for p in direct.points if not p.invalid}
        for point in through.points:
            if point.concurrency in without and not point.invalid:
                ratio = point.tokens_per_s / without[point.concurrency]
                ratios.setdefault(point.concurrency, []).append(ratio)
    return {concurrency: mean(values) for concurrency, values in ratios.items()}


def added_s(pairs: Sequence[Pair]) -> dict[int, Summary]:
    """By concurrency: the difference of the same prompt's time to first token, in seconds, behind
    a gateway and without one; of pairs of runs with the same seed."""
    parts = []
    for pair in pairs:
        through, direct = (run.measured(*PAIR, "ttft_s").set_index(PAIR)["ttft_s"] for run in pair)
        parts.append((through - direct).dropna())
    difference = pd.concat(parts)
    levels = sorted(set(difference.index.get_level_values("concurrency")))
    return {level: summarise(list(difference.loc[level])) for level in levels}


if __name__ == "__main__":
    sys.exit(command.main("overhead"))
