"""Figure 7 [inferred]: response time over concurrency, and its spread.

`python -m paper_figures.fig7` draws it again from the runs that MLflow holds.
"""

import sys
from collections.abc import Sequence

from matplotlib.figure import Figure

from er.tracking.query import PublishedRun
from paper_figures import command, ladder
from paper_figures.fig6 import INFERRED
from paper_figures.quantities import latency

STUDY = "ladder"
NEEDS = ("points",)


def figure(runs: Sequence[PublishedRun]) -> Figure:
    """Medians on the left, spread on the right."""
    e2e = latency("Response time", "e2e_s", "s", tail=True)
    return ladder.medians_and_boxes(runs, "Figure 7 [inferred]: response time", e2e, INFERRED)


if __name__ == "__main__":
    sys.exit(command.main("fig7"))
