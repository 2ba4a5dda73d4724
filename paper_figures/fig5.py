"""Figure 5: time per output token over concurrency, and its spread.

`python -m paper_figures.fig5` draws it again from the runs that MLflow holds.
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
    tpot = latency("Time per output token", "tpot_s", "ms")
    return ladder.medians_and_boxes(runs, "Figure 5: time per output token", tpot)


if __name__ == "__main__":
    sys.exit(command.main("fig5"))
