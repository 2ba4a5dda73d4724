"""What a gateway costs: time to first token and throughput behind each.

`python -m paper_figures.overhead` draws it again from the runs that MLflow holds.
"""

import sys
from collections.abc import Sequence

from matplotlib.figure import Figure

from er.tracking.query import PublishedRun
from paper_figures import command, ladder

STUDY = "overhead"
NOTE = (
    "Behind a gateway of kind sklearn, scikit-learn's plain pipeline classifies in the event loop."
)


def figure(runs: Sequence[PublishedRun]) -> Figure:
    """Medians on the left, throughput on the right."""
    return ladder.ttft_and_throughput(runs, "What a gateway costs", NOTE)


if __name__ == "__main__":
    sys.exit(command.main("overhead"))
