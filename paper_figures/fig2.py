"""Figure 2: how long prompts and answers are, of what was really sent.

`python -m paper_figures.fig2 [--experiment NAME]` draws it from the runs that MLflow holds.
"""

import sys
from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from er.tracking.query import PublishedRun
from paper_figures import command, style

STUDY = "ladder"

BINS = 40


def figure(runs: Sequence[PublishedRun]) -> Figure:
    """A histogram of the tokens sent, and one of the tokens received beside those asked for."""
    lengths = ("input_tokens", "output_tokens", "max_tokens")
    parts = [run.requests("ok", "warmup", *lengths) for run in runs]
    requests = pd.concat(parts, ignore_index=True)
    requests = requests[requests["ok"] & ~requests["warmup"]]
    drawn, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    _histogram(left, requests["input_tokens"], "Prompts", "sent")
    _histogram(right, requests["output_tokens"], "Answers", "received")
    asked = requests["max_tokens"]
    right.hist(asked, bins=_bins(asked), histtype="step", color="0.3", label="asked for")
    right.legend(frameon=False)
    drawn.suptitle(f"Lengths of {len(requests)} requests: {style.origin(runs)}", fontweight="bold")
    drawn.text(0.5, -0.03, style.footnote(runs), ha="center", fontsize=7)
    return drawn


def _histogram(axes: Axes, tokens: "pd.Series[int]", title: str, label: str) -> None:
    axes.hist(tokens, bins=_bins(tokens), color=style.colour("a"), alpha=0.8, label=label)
    for name, value, line in (
        ("mean", tokens.mean(), "-"),
        ("median", tokens.median(), "--"),
    ):
        axes.axvline(value, color="0.2", linestyle=line, linewidth=1, label=f"{name} {value:.0f}")
    axes.set(title=title, xlabel="Tokens", ylabel="Requests")
    axes.legend(frameon=False)


def _bins(tokens: "pd.Series[int]") -> list[float]:
    """Equal bins of whole tokens."""
    most = int(tokens.max())
    width = -(-most // BINS)
    return [start - 0.5 for start in range(0, most + 2 * width, width)]


if __name__ == "__main__":
    sys.exit(command.main("fig2"))
