"""The ladder with several batch limits: time to first token and throughput of each deployment.

`python -m paper_figures.batch_limit` draws it again from the runs that MLflow holds.
"""

import sys
from collections.abc import Sequence

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from er.tracking.query import PublishedRun
from paper_figures import command, style
from paper_figures.curves import draw
from paper_figures.limits import by_limit, describe_unreached, limits_of
from paper_figures.looks import name_of
from paper_figures.quantities import latency, throughput

STUDY = "batch_limit"
NEEDS = ("points", "deployment")
QUANTITIES = {
    "TTFT p50 [ms]": latency("", "ttft_s", "ms"),
    "tokens/s": throughput(),
    "tokens/s/GPU": throughput(per_gpu=True),
}


def figure(runs: Sequence[PublishedRun]) -> Figure:
    """A column for each deployment and a row for each quantity; the other way where it is
    narrow."""
    names, limits = list(dict.fromkeys(map(name_of, runs))), limits_of(runs)
    above, beside = (QUANTITIES, names) if style.narrow() else (names, QUANTITIES)
    height = 2.6 if style.narrow() else 3.2
    drawn, axes = plt.subplots(
        len(beside), len(above), figsize=style.size(height * len(beside)), squeeze=False,
        layout="constrained", sharex=True, sharey="col" if style.narrow() else "row",
    )  # fmt: skip
    for row, (place, of_row) in zip(beside, enumerate(axes), strict=True):
        for column, panel in zip(above, of_row, strict=True):
            name, what = (row, column) if style.narrow() else (column, row)
            shown = [run for run in runs if name_of(run) == name]
            draw(panel, by_limit(shown, limits), QUANTITIES[what])
            style.log_values(panel.yaxis)
            panel.set(xlabel="", title="" if place else column)
        of_row[0].set_ylabel(row)
    axes[-1][len(above) // 2].set_xlabel("Concurrency [users in flight]")
    note = describe_unreached(runs)
    return style.finish(drawn, "What the batch limit changes", runs, note=note)


if __name__ == "__main__":
    sys.exit(command.main("batch_limit"))
