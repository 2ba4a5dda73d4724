"""What the figures of one ladder share: curves over concurrency, and boxes of its requests."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from er.tracking.query import PublishedRun
from paper_figures import style
from paper_figures.curves import curves
from paper_figures.quantities import Quantity
from paper_figures.repeats import Group, groups_of, hidden_by_medians

STUDY = "ladder"  # that these figures show by themselves


def medians_and_boxes(
    runs: Sequence[PublishedRun], title: str, quantity: Quantity, note: str = ""
) -> Figure:
    """Medians over concurrency on the left, the spread over requests on the right."""
    figure, (left, right) = style.panels(3, 2, sharey=True)
    curves(left, runs, quantity)
    title_of_left = "Median, and 95th percentile (faint)" if quantity.tail else "Median"
    left.set(title=title_of_left, ylabel=quantity.axis)
    boxes(right, runs, quantity)
    right.set_ylabel(quantity.axis if style.narrow() else "")
    style.log_values(left.yaxis)
    style.log_values(right.yaxis)
    notes = " ".join(filter(None, [hidden_by_medians(groups_of(runs), quantity.column), note]))
    return style.finish(figure, title, runs, note=notes, own=STUDY)


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
    counts = [
        counted(len(sample), played(group, quantity.column))
        for group, sample in zip(groups, samples, strict=True)
    ]
    same_count = len(set(counts)) == 1
    ticks = []
    for group, count, ladder in zip(groups, counts, ladders, strict=True):
        which = [] if same_ladder else [span(ladder)]
        ticks.append("\n".join([group.look.name, *which, *([] if same_count else [count])]))
    drawn = axes.boxplot(samples, tick_labels=ticks, whis=(0, 100), widths=0.6, patch_artist=True)
    if not same_ladder or not same_count:  # more than a letter under each box
        axes.tick_params(axis="x", labelsize="small" if style.narrow() else "x-small")
    for box, median, group in zip(drawn["boxes"], drawn["medians"], groups, strict=True):
        box.set(facecolor=group.look.colour, edgecolor="0.2")
        median.set(color="black")
    users = span(ladders[0])
    pooled = (
        f"at {users} user{'' if users == '1' else 's'}" if same_ladder else "of all valid points"
    )
    axes.set_title(f"Requests {pooled}, pooled\nbox: quartiles; whiskers: min, max")
    what = [] if same_ladder else ["users of the valid points"]
    what += [f"{counts[0]} each".replace("\n", " ")] if same_count else []
    what += ["n of N: the last of all requests are kept"] if any("of" in c for c in counts) else []
    axes.set_xlabel(", ".join(what))
    axes.grid(visible=False, axis="x")


def played(group: Group, column: str) -> int:
    """The requests that the statistics of a group's valid points are of."""
    return sum(getattr(point, column).count for _, point in group.valid())


def counted(kept: int, of: int) -> str:
    """How many requests are shown; of a prediction that was played longer, of how many."""
    return f"n={kept:,}" if kept == of else f"n={kept:,}\nof {of:,}"


def span(ladder: Sequence[int]) -> str:
    """Concurrencies in few characters: "1, 2, 4, 8", or the first and the last of many."""
    if len(ladder) <= 5:
        return ", ".join(f"{concurrency:,}" for concurrency in ladder) or "none"
    return f"{ladder[0]:,} to {ladder[-1]:,}"
