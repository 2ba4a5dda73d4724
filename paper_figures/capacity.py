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

from er.results import labels
from er.tracking.query import PublishedRun
from paper_figures import command, style

STUDY = "capacity"

PANELS = {
    "concurrency_per_gpu": "Users in flight per GPU",
    "tokens_per_s_per_gpu": "Output tokens/s per GPU",
}
ROW_HEIGHT = 1.7  # cm


def figure(runs: Sequence[PublishedRun]) -> Figure:
    """A bar for each deployment and node type."""
    frame = table(runs)
    height = 3 + ROW_HEIGHT * frame["deployment"].nunique()
    drawn, axes = plt.subplots(
        1, len(PANELS), figsize=style.size(height), sharey=True, layout="constrained"
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
    frame = pd.DataFrame(
        {
            "deployment": "\n".join(
                filter(None, [run.deployment.upper(), labels.engines(run.config), apart])
            ),
            "node type": run.config["hardware"]["name"],
            "note": note(run),
            **{name: run.capacity[name] for name in PANELS},
        }
        for run, apart in zip(runs, settings, strict=True)
    )
    return frame.fillna(0.0)


def note(run: PublishedRun) -> str:
    """Why there is no bar; empty where there is one."""
    if run.capacity["refusal"]:
        return "does not fit"
    return "" if run.capacity["concurrency"] else "too slow for one user"


def bars(axes: Axes, frame: pd.DataFrame, name: str, title: str) -> None:
    """One quantity; a number beside each bar, or why there is none."""
    sns.barplot(
        frame, x=name, y="deployment", hue="node type", palette="colorblind", legend=True, ax=axes
    )
    names = list(frame["deployment"].unique())
    for container, (_, rows) in zip(
        axes.containers, frame.groupby("node type", sort=False), strict=True
    ):
        by_name = rows.set_index("deployment")
        rows_of_bars = [by_name.loc[label] for label in names if label in by_name.index]
        texts = [str(row["note"]) or f"{row[name]:,.0f}" for row in rows_of_bars]
        axes.bar_label(container, texts, padding=2, fontsize="small")  # type: ignore[arg-type]
    axes.get_legend().remove()  # type: ignore[union-attr]  # the figure has one for both
    axes.margins(x=0.15)
    axes.set(xlabel=title, ylabel="")


if __name__ == "__main__":
    sys.exit(command.main("capacity"))
