"""The ladder with several batch limits: time to first token and throughput.

`python -m paper_figures.batch_limit` draws it again from the runs that MLflow holds.
"""

import sys
from collections.abc import Sequence

from matplotlib.figure import Figure

from er.tracking.query import PublishedRun
from paper_figures import command, ladder

STUDY = "batch_limit"
NEEDS = ("points", "deployment")


def figure(runs: Sequence[PublishedRun]) -> Figure:
    """Medians on the left, throughput on the right, also of each GPU."""
    return ladder.ttft_and_throughput(runs, "What the batch limit changes")


if __name__ == "__main__":
    sys.exit(command.main("batch_limit"))
