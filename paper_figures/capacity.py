"""Users and tokens per second that a GPU of each deployment carries within limits on latency.

`python -m paper_figures.capacity` draws it again from the newest search that MLflow holds.
"""

import sys
from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import StrMethodFormatter

from er.results import capacities, labels
from er.tracking.query import PublishedRun
from paper_figures import command, style
from paper_figures.looks import OTHERS

STUDY = "capacity"
NEEDS = ("search",)

PANELS = {
    "concurrency_per_gpu": "Users in flight per GPU",
    "tokens_per_s_per_gpu": "Output tokens/s per GPU",
}
WITH_INTERVAL = "concurrency_per_gpu"
WHISKER_LABEL = "whisker: where the prediction may lie for these prompts (docs/prediction.md)"
ROW_HEIGHT = 1.7  # cm


def figure(runs: Sequence[PublishedRun]) -> Figure:
    """A bar for each deployment and node type."""
    frame = table(runs)
    height = 3 + ROW_HEIGHT * frame["deployment"].nunique()
    rows, columns = (len(PANELS), 1) if style.narrow() else (1, len(PANELS))
    drawn, axes = plt.subplots(
        rows, columns, figsize=style.size(rows * height), sharey=True, layout="constrained"
    )
    for panel, (name, title) in zip(axes, PANELS.items(), strict=True):
        bars(panel, frame, name, title)
    load = runs[0].config["load"]
    limits = (
        f"TTFT p95 up to {load['ttft_at_most_s']:g} s and TPOT p95 up to "
        f"{load['tpot_at_most_s']:g} s"
    )
    return style.finish(drawn, f"Capacity with {limits}", runs)


def table(runs: Sequence[PublishedRun]) -> pd.DataFrame:
    """A row for each run: its deployment, its node type and what a GPU of it carries."""
    settings = labels.apart([run.config for run in runs])
    return pd.DataFrame(
        {
            "deployment": "\n".join(
                filter(None, [run.deployment.upper(), labels.engines(run.config), apart])
            ),
            "node type": run.config["hardware"]["name"],
            "note": note(run),
            **{name: run.capacity[name] or 0.0 for name in PANELS},  # null where nothing is carried
            "low": run.capacity["concurrency_low"] / run.capacity["gpus"],
            "high": run.capacity["concurrency_high"] / run.capacity["gpus"],
        }
        for run, apart in zip(runs, settings, strict=True)
    )


def note(run: PublishedRun) -> str:
    """Why there is no bar; empty where there is one."""
    if run.capacity["concurrency"]:
        return ""
    return capacities.describe_none(run.capacity) or "too slow for one user"


def bars(axes: Axes, frame: pd.DataFrame, name: str, title: str) -> None:
    """One quantity; a number beside each bar, or why there is none."""
    kinds = frame["node type"].nunique()
    colours = [OTHERS[place % len(OTHERS)] for place in range(kinds)]
    sns.barplot(
        frame, x=name, y="deployment", hue="node type", palette=colours, legend=True, ax=axes
    )
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    names = list(frame["deployment"].unique())
    for container, (_, rows) in zip(
        axes.containers, frame.groupby("node type", sort=False), strict=True
    ):
        by_name = rows.set_index("deployment")
        rows_of_bars = [by_name.loc[label] for label in names if label in by_name.index]
        texts = [str(row["note"]) or value_text(row, name) for row in rows_of_bars]
        if name == WITH_INTERVAL:
            whiskers(axes, container.patches, rows_of_bars)  # type: ignore[attr-defined]
        labels_of_bars = axes.bar_label(container, texts, padding=4, fontsize="small")  # type: ignore[arg-type]
        for label, row in zip(labels_of_bars, rows_of_bars, strict=True):
            if name == WITH_INTERVAL and not row["note"]:  # behind the whisker
                label.xy = (row["high"], label.xy[1])
    axes.get_legend().remove()  # type: ignore[union-attr]  # the figure has one for both
    axes.margins(x=0.6 if name == WITH_INTERVAL else 0.25)
    axes.set(xlabel=title, ylabel="")


def value_text(row: pd.Series, name: str) -> str:
    """A quantity of one bar, and between what it may lie where that is known."""
    value = f"{row[name]:,.0f}"
    return f"{value} ({row['low']:,.0f} to {row['high']:,.0f})" if name == WITH_INTERVAL else value


def whiskers(axes: Axes, bars_drawn: Sequence[Rectangle], rows: Sequence[pd.Series]) -> None:
    """A line through the end of each bar, from the lowest to the highest it may be."""
    for bar, row in zip(bars_drawn, rows, strict=True):
        if not row["note"]:
            y = bar.get_y() + bar.get_height() / 2
            axes.plot(
                [row["low"], row["high"]], [y, y], "|-", color="black", linewidth=0.8, markersize=4
            )
    drawn = any(not row["note"] for row in rows)
    if drawn and WHISKER_LABEL not in axes.get_legend_handles_labels()[1]:
        axes.plot([], [], "|-", color="black", linewidth=0.8, markersize=4, label=WHISKER_LABEL)


if __name__ == "__main__":
    sys.exit(command.main("capacity"))
