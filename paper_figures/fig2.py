"""Figure 2: how many input tokens prompts had, of what was really sent; and their answers.

`python -m paper_figures.fig2` draws it again from the runs that MLflow holds.
"""

import sys
import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from er.results.consistency import requests_kept
from er.results.labels import count_users
from er.results.point import Point
from er.tracking.query import PublishedRun
from paper_figures import command, style
from paper_figures.looks import OTHERS, routed
from paper_figures.repeats import groups_of

STUDY = "ladder"
NEEDS = ("deployment", "requests")
BINS = 40
TITLE_LETTERS = 34  # of a line above a panel
QUANTILES = (5, 25, 50, 75, 95)
NOTE = "A prompt that several deployments got is counted once."
LONGER = "Of points that were played longer to become steady the last requests are kept and shown"


def figure(runs: Sequence[PublishedRun]) -> Figure:
    """Prompts, answers, and, where runs are routed, what their experts got."""
    prompts, answers, routes = sent(runs), answered(runs), routes_of(runs)
    drawn, panels = style.panels(*[1] * (2 + len(routes)))
    histogram(panels[0], prompts["input_tokens"], f"{len(prompts):,} prompts")
    reference(panels[0], prompts["input_tokens"], runs)
    panels[0].set_xlabel("Input tokens")
    histogram(
        panels[1],
        answers["output_tokens"],
        f"{of_all(len(answers), played(runs, answers))} answers",
        f"of {many(runs)}: ",
    )
    wanted = prompts["max_tokens"]
    panels[1].hist(
        wanted, bins=bins(wanted), weights=shares(wanted), histtype="step", color="0.2",
        linewidth=0.7, label="outline: answers as long as asked for",
    )  # fmt: skip
    panels[1].set_xlabel("Output tokens")
    for panel, (names, tokens) in zip(panels[2:], routes.items(), strict=True):
        by_expert(panel, tokens)
        if any(map(played_longer, runs)):
            panel.set_ylabel("Expert: prompts kept of what it got")
        whose = textwrap.fill(f"Experts of {names}", TITLE_LETTERS)
        panel.set_title(f"{whose}\nbox: quartiles; whiskers: min, max")
    note = " ".join(filter(None, [NOTE, kept_of_longer(runs)]))
    return style.finish(
        drawn, "Figure 2: lengths of prompts and answers", runs, note=note, own=STUDY
    )


def of_all(kept: int, played: int) -> str:
    """How many requests are shown; of predictions that were played longer, of how many."""
    return f"{kept:,}" if kept == played else f"{kept:,} of {played:,}"


def many(runs: Sequence[PublishedRun]) -> str:
    """How many runs, in words."""
    return f"{len(runs)} run{'s' if len(runs) > 1 else ''}"


def sent(runs: Sequence[PublishedRun]) -> pd.DataFrame:
    """The prompts that were sent after warm-up, each once however many deployments got it.

    Runs of one seed and workload send the same prompts in the same order.
    """
    parts = []
    for run in runs:
        rows = run.requests("concurrency", "index", "measured", "input_tokens", "max_tokens")
        source = repr((run.config["seed"], run.config["workload"], run.config.get("corpus")))
        parts.append(rows[rows["measured"].astype(bool)].assign(source=source))
    prompts = pd.concat(parts, ignore_index=True)
    return prompts.drop_duplicates(["source", "concurrency", "index"])


def answered(runs: Sequence[PublishedRun]) -> pd.DataFrame:
    """Every complete answer of every run, invalid points too."""
    rows = pd.concat(
        [run.requests("concurrency", "ok", "measured", "output_tokens") for run in runs],
        ignore_index=True,
    )
    return rows[rows["ok"].astype(bool) & rows["measured"].astype(bool)]


def played(runs: Sequence[PublishedRun], answers: pd.DataFrame) -> int:
    """How many answers there were, those of long predictions that are not kept too."""
    more = 0
    for run in runs:
        for point in played_longer(run).values():
            answered = point.requests - point.errors
            more += answered - answered * requests_kept(point) // point.requests
    return len(answers) + more


def played_longer(run: PublishedRun) -> dict[int, Point]:
    """By concurrency: the predicted points of which only the last requests are kept."""
    points = run.points
    return {point.concurrency: point for point in points if requests_kept(point) < point.requests}


def routes_of(runs: Sequence[PublishedRun]) -> dict[str, list["pd.Series[int]"]]:
    """The input tokens of what each expert got, by the names of the runs that routed alike; of
    repeats together."""
    found: dict[str, list[pd.Series[int]]] = {}
    for group in groups_of(runs):
        if not routed(group.runs[0]):
            continue
        columns = ("measured", "expert", "input_tokens", "concurrency", "index")
        rows = pd.concat([run.requests(*columns) for run in group.runs])
        rows = rows[rows["measured"].astype(bool)].sort_values(
            ["concurrency", "index"], kind="stable"
        )
        experts = range(group.runs[0].config["deployment"]["experts"])
        mine = [rows.loc[rows["expert"] == expert, "input_tokens"] for expert in experts]
        if not any(map(len, mine)):
            continue  # which expert answered is not known
        alike = [
            names
            for names, theirs in found.items()
            if [part.to_list() for part in theirs] == [part.to_list() for part in mine]
        ]
        name = group.look.name.replace("\n", " ")
        if alike:
            found[f"{alike[0]}, {name}"] = found.pop(alike[0])
        else:
            found[name] = mine
    return found


def kept_of_longer(runs: Sequence[PublishedRun]) -> str:
    """For the footer: of which runs the last requests alone are kept, and of how many; empty where
    all are."""
    parts = []
    for group in groups_of(runs):
        longer = [point for run in group.runs for point in played_longer(run).values()]
        every = sum(point.requests for point in longer)
        kept = sum(requests_kept(point) for point in longer)
        *fewer, most = sorted({point.concurrency for point in longer}) or [0]
        where = ", ".join([*(f"{n:,}" for n in fewer), count_users(most)])
        if longer:
            parts.append(f"{group.look.name} at {where} {kept:,} of {every:,}")
    return f"{LONGER}: {'; '.join(parts)}." if parts else ""


def histogram(axes: Axes, tokens: "pd.Series[int]", what: str, of: str = "") -> None:
    """Shares, with mean and median."""
    axes.hist(tokens, bins=bins(tokens), weights=shares(tokens), color=OTHERS[0], linewidth=0)
    axes.axvline(tokens.mean(), color="0.2", linewidth=0.8, label="mean")
    axes.axvline(tokens.median(), color="0.2", linewidth=0.8, linestyle="--", label="median")
    axes.set_title(f"{what}\n{of}mean {tokens.mean():.0f}, median {tokens.median():.0f}")
    axes.set_ylabel("Share [%]")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def reference(axes: Axes, tokens: "pd.Series[int]", runs: Sequence[PublishedRun]) -> None:
    """Quantiles of what was sent, above them those of the workload's table where it has one."""
    which = ", ".join(map(str, QUANTILES))
    rows = {f"sent: quantiles {which}%": (np.percentile(tokens, QUANTILES), 0.88, OTHERS[0])}
    table = runs[0].config["workload"].get("input", {})
    if isinstance(table, dict) and "percentiles" in table:
        wanted = np.interp(QUANTILES, table["percentiles"], table["tokens"]) * table["scale"]
        rows[f"reference: quantiles {which}%"] = (wanted, 0.95, "white")
    for label, (values, height, colour) in rows.items():
        axes.plot(
            values, [height] * len(values), "v", color=colour,
            markeredgecolor="0.2", markeredgewidth=0.6,
            transform=axes.get_xaxis_transform(), label=label,
        )  # fmt: skip


def by_expert(axes: Axes, tokens: Sequence["pd.Series[int]"]) -> None:
    """A box of input tokens for each expert, and how many prompts it got."""
    drawn = axes.boxplot(
        tokens,
        tick_labels=[f"{expert}: {len(part):,}" for expert, part in enumerate(tokens)],
        whis=(0, 100), widths=0.6, patch_artist=True, orientation="horizontal",
    )  # fmt: skip
    for box, median in zip(drawn["boxes"], drawn["medians"], strict=True):
        box.set(facecolor=OTHERS[0], edgecolor="0.2")
        median.set(color="black")
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set(xlabel="Input tokens", ylabel="Expert: prompts it got")


def shares(tokens: "pd.Series[int]") -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Weights that make a histogram's bars add up to 100%."""
    return np.full(len(tokens), 100 / max(len(tokens), 1))


def bins(tokens: "pd.Series[int]") -> list[float]:
    """Equal bins of whole tokens."""
    most = int(tokens.max())
    width = -(-most // BINS)
    return [start - 0.5 for start in range(0, most + 2 * width, width)]


if __name__ == "__main__":
    sys.exit(command.main("fig2"))
