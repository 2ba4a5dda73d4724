"""Who routes: tails of the time to first token, requests within limits, load of the experts.

`python -m paper_figures.policies` draws it again from the runs that MLflow holds.
"""

import math
import sys
from collections.abc import Sequence

from matplotlib.figure import Figure

from er.results.point import Point
from er.tracking.query import PublishedRun
from paper_figures import command, style
from paper_figures.curves import curves
from paper_figures.quantities import Quantity, read_bounds

STUDY = "policies"
NEEDS = ("points", "experts")


def figure(runs: Sequence[PublishedRun]) -> Figure:
    """Three panels over concurrency."""
    drawn, (tail, kept, load) = style.panels(1, 1, 1)
    p95 = Quantity(
        "",
        lambda _, point: point.ttft_s.p95 * 1e3,
        bounds=read_bounds("ttft_s.p95", lambda _: 1e-3),
    )
    curves(tail, runs, p95)
    tail.set(title="Time to first token", ylabel="95th percentile [ms]")
    style.log_values(tail.yaxis)
    curves(kept, runs, Quantity("", lambda _, point: point.goodput * 100))
    kept.set(title="Requests within limits", ylabel="Share [%]", ylim=(0, 105))
    curves(load, runs, Quantity("", busiest))
    load.set(title="Requests of the busiest expert", ylabel="Over the mean", ylim=(0.9, None))
    return style.finish(
        drawn, "Routing by content, and without reading it", runs, note=limits(runs)
    )


def busiest(run: PublishedRun, point: Point) -> float:
    """Requests of the expert that had most, over the mean of all experts; NaN without any."""
    experts, counts = int(run.config["deployment"]["experts"]), list(point.experts.values())
    return max(counts) * experts / sum(counts) if counts else math.nan


def limits(runs: Sequence[PublishedRun]) -> str:
    """The limits that goodput is a share of, and what looks odd and is not."""
    load = runs[0].config["load"]
    first = " Where all experts are idle, least_loaded takes the first one: few users load it most."
    several = any(run.config["routing"]["policy"] == "least_loaded" for run in runs)
    return (
        f"Limits: TTFT {load['ttft_at_most_s']:g} s, TPOT {load['tpot_at_most_s']:g} s."
        f"{first if several else ''}"
    )


if __name__ == "__main__":
    sys.exit(command.main("policies"))
