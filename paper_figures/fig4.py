"""Figure 4: time to first token over concurrency, and its spread.

`python -m paper_figures.fig4` draws it again from the runs that MLflow holds.
"""

import sys
from collections.abc import Sequence

from matplotlib.figure import Figure

from er.tracking.query import PublishedRun
from paper_figures import command, ladder
from paper_figures.quantities import latency

STUDY = "ladder"
NEEDS = ("points",)


def figure(runs: Sequence[PublishedRun]) -> Figure:
    """Medians on the left, spread on the right."""
    ttft = latency("Time to first token", "ttft_s", "ms", tail=True)
    return ladder.medians_and_boxes(runs, "Figure 4: time to first token", ttft)


if __name__ == "__main__":
    sys.exit(command.main("fig4"))
