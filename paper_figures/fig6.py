"""Figure 6 [inferred]: throughput over concurrency, of a deployment and of each of its GPUs.

`python -m paper_figures.fig6` draws it again from the runs that MLflow holds.
"""

import sys
from collections.abc import Sequence

from matplotlib.figure import Figure

from er.tracking.query import PublishedRun
from paper_figures import command, style
from paper_figures.curves import curves
from paper_figures.quantities import throughput

STUDY = "ladder"
NEEDS = ("points", "deployment")
INFERRED = "[inferred]: the captions of Figures 6 and 7 are not known to this project."


def figure(runs: Sequence[PublishedRun]) -> Figure:
    """Output tokens per second on the left, the same per GPU on the right."""
    drawn, (left, right) = style.panels(1, 1)
    curves(left, runs, throughput())
    left.set(title="Output of the deployment", ylabel="Throughput [tokens/s]")
    curves(right, runs, throughput(per_gpu=True))
    right.set(title="Output of each GPU that it occupies", ylabel="Throughput [tokens/s per GPU]")
    for axes in (left, right):
        style.log_values(axes.yaxis)
    return style.finish(drawn, "Figure 6 [inferred]: throughput", runs, note=INFERRED, own=STUDY)


if __name__ == "__main__":
    sys.exit(command.main("fig6"))
