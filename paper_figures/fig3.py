"""Figure 3: response time over concurrency for batch limits and precisions; TP=4 left, TP=8 right.

`python -m paper_figures.fig3` draws it again from the runs that MLflow holds.
"""

import math
import sys
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from er.tracking.query import PublishedRun
from paper_figures import command, style
from paper_figures.looks import MARKERS, OTHERS, TABLE_1
from paper_figures.repeats import Group, groups_of, means

STUDY = "batch_sizes"
NEEDS = ("points", "tensor parallelism")
OF_PAPER = {("int8", 4): "A", ("fp16", 4): "B", ("fp16", 8): "C"}
RULE = (
    "Rule: of each precision and TP the batch limit with the least geometric mean, over the valid "
    "points that all runs have, of the median response time; of those the three least."
)


def figure(runs: Sequence[PublishedRun]) -> Figure:
    """One panel for each degree of tensor parallelism, one line for each limit and precision."""
    drawn, panels = style.panels(1, 1, sharey=True)
    limits = sorted({limit_of(run) for run in runs})
    for axes, tp in zip(panels, (4, 8), strict=True):
        shown = [run for run in runs if run.config["deployment"]["tp"] == tp]
        for group in groups_of(sorted(shown, key=limit_of)):
            curve(axes, group, limits.index(limit_of(group.runs[0])))
        axes.set(title=f"TP={tp}", ylabel="Response time, median [s]")
        style.log_values(axes.yaxis)
        style.over_concurrency(axes, sorted({p.concurrency for r in runs for p in r.points}))
    note = f"{RULE} {'; '.join(picked(runs))}."
    return style.finish(
        drawn,
        "Figure 3: response time of Llama 3 70B by batch limit and precision",
        runs,
        note=note,
    )


def curve(axes: Axes, group: Group, place: int) -> None:
    """The medians of a run, or their mean over seeds: colour and marker are of the batch limit,
    dashes are FP16."""
    concurrencies, values = means(group.valid(), lambda _, point: point.e2e_s.p50)
    precision = group.runs[0].config["deployment"]["precision"]
    axes.plot(
        concurrencies,
        values,
        color=OTHERS[place % len(OTHERS)],
        marker=MARKERS[(len(TABLE_1) + place) % len(MARKERS)],
        linestyle="--" if precision == "fp16" else "-",
        label=f"{precision}, at most {limit_of(group.runs[0])} in a batch",
    )


def summary(runs: Sequence[PublishedRun]) -> list[str]:
    """The rule and what it picks, for a terminal."""
    return [RULE, *(f"{line[:1].upper()}{line[1:]}." for line in picked(runs))]


def picked(runs: Sequence[PublishedRun]) -> list[str]:
    """What the rule says, and how that stands to the paper's baselines."""
    means = means_of(runs)
    if any(map(math.isnan, means.values())):
        return ["It picks none: no point is valid in all of these runs"]
    best: dict[tuple[str, int], PublishedRun] = {}
    for run in sorted(runs, key=lambda run: means[run.run_id]):
        deployment = run.config["deployment"]
        best.setdefault((deployment["precision"], deployment["tp"]), run)
    first = list(best.items())[:3]
    names = [
        f"{precision} TP={tp} at most {limit_of(run)} ({means[run.run_id]:.3g} s)"
        for (precision, tp), run in first
    ]
    return [f"It picks {', '.join(names)}", differs(list(dict(first)))]


def differs(picked: Sequence[tuple[str, int]]) -> str:
    """Where the picked precisions and TP are not those of the paper's A, B and C."""
    left_out = [name for key, name in OF_PAPER.items() if key not in picked]
    others = [f"{precision} TP={tp}" for precision, tp in picked if (precision, tp) not in OF_PAPER]
    if not left_out:
        return "these are the paper's A, B and C"
    if others:
        return f"in place of {', '.join(left_out)} it takes {', '.join(others)}"
    return f"of the paper's {', '.join(left_out)} there is no run"


def means_of(runs: Sequence[PublishedRun]) -> dict[str, float]:
    """By run id: the geometric mean of the median response times, in seconds, of common points."""
    valid = [{p.concurrency: p.e2e_s.p50 for p in run.points if not p.invalid} for run in runs]
    common = set.intersection(*map(set, valid)) if valid else set()
    return {
        run.run_id: math.exp(sum(math.log(of[concurrency]) for concurrency in common) / len(common))
        if common
        else math.nan
        for run, of in zip(runs, valid, strict=True)
    }


def limit_of(run: PublishedRun) -> int:
    """Requests in a batch, at most."""
    return int(run.config["engine"]["max_batch_size"])


if __name__ == "__main__":
    sys.exit(command.main("fig3"))
