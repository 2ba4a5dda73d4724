"""Figure 3: response time over concurrency for batch limits and precisions; TP=4 left, TP=8 right.

`python -m paper_figures.fig3` draws it again from the runs that MLflow holds.
"""

import math
import sys
from collections.abc import Sequence

from matplotlib.figure import Figure

from er.tracking.query import PublishedRun
from paper_figures import command, style
from paper_figures.curves import draw
from paper_figures.limits import by_limit, describe_unreached, limit_of, limits_of
from paper_figures.quantities import latency

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
    limits, response = limits_of(runs), latency("Response time, median", "e2e_s", "s")
    for axes, tp in zip(panels, (4, 8), strict=True):
        shown = [run for run in runs if run.config["deployment"]["tp"] == tp]
        if shown:
            draw(axes, by_limit(shown, limits, name_precision=True), response)
        axes.set(title=f"TP={tp}", ylabel=response.axis)
        style.log_values(axes.yaxis)
    note = " ".join(filter(None, [f"{RULE} {'; '.join(picked(runs))}.", describe_unreached(runs)]))
    return style.finish(
        drawn,
        "Figure 3: response time of Llama 3 70B by batch limit and precision",
        runs,
        note=note,
    )


def summary(runs: Sequence[PublishedRun]) -> list[str]:
    """The rule and what it picks, for a terminal."""
    lines = [f"{line[:1].upper()}{line[1:]}." for line in picked(runs)]
    return [line for line in (RULE, *lines, describe_unreached(runs)) if line]


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


if __name__ == "__main__":
    sys.exit(command.main("fig3"))
