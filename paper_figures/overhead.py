"""What a gateway costs: time to first token and throughput behind each, beside none, paired.

`python -m paper_figures.overhead` draws it again from the runs that MLflow holds.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import t as student

from er.results.labels import count_users
from er.tracking.query import PublishedRun
from paper_figures import command, style
from paper_figures.curves import curves, shifted, shifts
from paper_figures.looks import routed
from paper_figures.quantities import latency, throughput
from paper_figures.repeats import Group, groups_of

STUDY = "overhead"
NEEDS = ("points", "deployment")
BATCHES = 10  # of a run's prompts in order, for an interval
NOTE = (
    "Behind a gateway of kind sklearn, scikit-learn's plain pipeline classifies in the event loop. "
    "Paired: of each prompt, the time to first token behind the gateway less that without one; its "
    "interval is Student's, over seeds, or over ten parts of a run. Grey: less than a step of the "
    "engine, where one seed cannot tell (repeats=5 would). A busy engine admits prompts between "
    "two steps, so that a quicker gateway costs nothing there, and which step a prompt gets is "
    "chance (docs/figures.md)."
)
STEP_LABEL = "grey: less than a step of the engine"
INTERVAL_LABEL = "pale bars of the difference: 95%, Student's"
PAIR = ["concurrency", "index"]
Pair = tuple[PublishedRun, PublishedRun]  # behind a gateway, and without one


@dataclass(frozen=True)
class Added:
    """What a gateway adds to the time to first token at one concurrency, in seconds."""

    median: float
    low: float  # 95%
    high: float
    step: float  # of the engine; 0 where it is idle when a prompt comes
    seeds: int

    @property
    def excludes_zero(self) -> bool:
        """Whether zero is outside its interval."""
        return self.low > 0 or self.high < 0

    @property
    def told_apart(self) -> bool:
        """Whether it is not zero, and no matter of which step a prompt gets: with one seed all may
        get another one."""
        return self.excludes_zero and (self.seeds > 1 or abs(self.median) >= self.step)


def figure(runs: Sequence[PublishedRun]) -> Figure:
    """Medians, the paired difference where a run has no gateway, and throughput."""
    drawn, (left, middle, right) = style.panels(1, 1, 1)
    curves(left, runs, latency("Time to first token", "ttft_s", "ms"))
    left.set(title="Median", ylabel="Time to first token [ms]")
    differences(middle, runs)
    middle.set(title="What the gateway adds, paired", ylabel="Difference [ms]")
    curves(right, runs, throughput())
    right.set(title="Output of the deployment", ylabel="Throughput [tokens/s]")
    for axes in (left, right):
        style.log_values(axes.yaxis)
    return style.finish(drawn, "What a gateway costs", runs, note=NOTE)


def differences(axes: Axes, runs: Sequence[PublishedRun]) -> None:
    """The median over prompts at each concurrency, with its 95% interval."""
    steps = sorted({point.concurrency for run in runs for point in run.points})
    found = list(paired(runs))
    limits: dict[int, float] = {}
    for (group, pairs), shift in zip(found, shifts(len(found), steps), strict=True):
        added, look = added_s(pairs), group.look
        at = shifted(list(added), shift)
        axes.plot(at, [each.median * 1e3 for each in added.values()], marker=look.marker, zorder=3,
                  **style.MARK, **look.line)  # fmt: skip
        low, high = (
            [getattr(each, end) * 1e3 for each in added.values()] for end in ("low", "high")
        )
        axes.vlines(at, low, high, color=look.colour, label=INTERVAL_LABEL, **style.INTERVAL_BAR)
        limits |= {level: each.step * 1e3 for level, each in added.items() if each.step}
    shown = axes.get_ylim()
    if limits:
        levels, edge = sorted(limits), 1.25
        at = [levels[0] / edge, *levels, levels[-1] * edge]
        high = [limits[level] for level in (levels[0], *levels, levels[-1])]
        low = [-value for value in high]
        axes.fill_between(at, low, high, color="0.93", zorder=0, linewidth=0, label=STEP_LABEL)
        axes.set_ylim(shown)
    axes.axhline(0, color="0.6", linewidth=0.6, zorder=1)
    style.over_concurrency(axes, steps)


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
            f"{describe(added[level])} and {kept[level]:.3f} of the throughput at "
            f"{count_users(level)}"
            for level in dict.fromkeys([*levels[:1], *levels[-1:]])
        ]
        if ends:
            name = group.runs[0].config["gateway"]["kind"]
            lines.append(f"gateway {name}, against none: {', '.join(ends)}")
    return lines


def describe(added: Added) -> str:
    """Such as "+0.2 ms", and why another one may be zero."""
    value = f"{added.median * 1e3:+.1f} ms"
    if added.told_apart:
        return value
    if added.excludes_zero:
        return (
            f"{value} (less than a step of the engine, {added.step * 1e3:.1f} ms; one seed cannot "
            "tell, repeats=5 would)"
        )
    low, high = added.low * 1e3, added.high * 1e3
    return (
        f"nothing that could be told from zero ({value}: 95% interval {low:+.1f} to {high:+.1f} ms)"
    )


def kept_throughput(pairs: Sequence[Pair]) -> dict[int, float]:
    """By concurrency: throughput behind a gateway over that without one, the mean over seeds."""
    ratios: dict[int, list[float]] = {}
    for through, direct in pairs:
        without = {p.concurrency: p.tokens_per_s for p in direct.points if not p.invalid}
        for point in through.points:
            if point.concurrency in without and not point.invalid:
                ratio = point.tokens_per_s / without[point.concurrency]
                ratios.setdefault(point.concurrency, []).append(ratio)
    return {concurrency: fmean(values) for concurrency, values in ratios.items()}


def added_s(pairs: Sequence[Pair]) -> dict[int, Added]:
    """By concurrency: the difference of the same prompt's time to first token, behind a gateway and
    without one; of pairs of runs with the same seed.

    Prompts that wait for one another are all late or early together, so that single ones say too
    little: the interval is over the medians of seeds, or of ten parts of a run (batch means, with
    Student's distribution: Law, Simulation Modeling and Analysis, section 9.5).
    """
    parts: dict[int, list[npt.NDArray[np.float64]]] = {}
    steps: dict[int, float] = {}
    for through, direct in pairs:
        of, than = (
            run.measured(*PAIR, "ttft_s").set_index(PAIR)["ttft_s"] for run in (through, direct)
        )
        differences = (of - than).dropna().sort_index()
        for level in sorted(set(differences.index.get_level_values("concurrency"))):
            parts.setdefault(int(level), []).append(differences.loc[level].to_numpy())
        steps |= {p.concurrency: p.tpot_s.p50 for p in direct.points if p.concurrency > 1}
    return {level: added_of(parts[level], steps.get(level, 0.0)) for level in sorted(parts)}


def added_of(seeds: Sequence[npt.NDArray[np.float64]], step: float) -> Added:
    """Of the differences of each seed, in order of sending."""
    several = len(seeds) > 1
    parts = seeds if several else np.array_split(seeds[0], min(BATCHES, len(seeds[0])))
    medians = [float(np.median(part)) for part in parts]
    middle = float(np.median(np.concatenate(seeds)))
    if len(medians) < 2:
        return Added(middle, math.nan, math.nan, step, len(seeds))
    error = float(np.std(medians, ddof=1)) / math.sqrt(len(medians))
    half = float(student.ppf(0.975, len(medians) - 1)) * error
    return Added(middle, fmean(medians) - half, fmean(medians) + half, step, len(seeds))


if __name__ == "__main__":
    sys.exit(command.main("overhead"))
