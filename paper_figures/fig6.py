"""Figure 6 [inferred]: throughput over concurrency, of a deployment and of each of its GPUs.

`python -m paper_figures.fig6` draws it again from the runs that MLflow holds.
"""

import sys
from collections.abc import Sequence

from matplotlib.figure import Figure

from er.results.point import Point
from er.tracking.query import PublishedRun
from paper_figures import command, ladder, style

STUDY = "ladder"
INFERRED = "[inferred]: the captions of Figures 6 and 7 are not known to this project."


def figure(runs: Sequence[PublishedRun]) -> Figure:
    """Output tokens per second on the left, the same per GPU on the right."""
    drawn, (left, right) = style.panels(1, 1)
    ladder.curves(left, runs, ladder.Quantity("", lambda _, point: point.tokens_per_s))
    left.set(title="Output of the deployment", ylabel="Throughput [tokens/s]")
    ladder.curves(right, runs, ladder.Quantity("", per_gpu))
    right.set(title="Output of each GPU that it occupies", ylabel="Throughput [tokens/s per GPU]")
    for axes in (left, right):
        style.log_values(axes.yaxis)
    return style.finish(drawn, "Figure 6 [inferred]: throughput", runs, note=INFERRED)


def per_gpu(run: PublishedRun, point: Point) -> float:
    """Output tokens per second and GPU."""
    return point.tokens_per_s / run.gpus


if __name__ == "__main__":
    sys.exit(command.main("fig6"))
