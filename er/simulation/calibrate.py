"""Fit the correction of kernel times: engine.step_time_scale and engine.host_overhead_s.

    python -m er.simulation.calibrate                          on the published rows marked for it
    python -m er.simulation.calibrate run=DIRECTORY run=...    on measured runs, with their spread

The loss is the sum of squared logarithms of simulated over measured TTFT and ITL (TPOT in runs).
Measured runs fit both. The two published rows cannot tell one from the other (with no overhead at
all another scale fits as well), so they fit the scale alone, to the overhead that is configured.
"""

import itertools
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import optimize

from er import cli
from er.simulation.as_published import simulated_serving
from er.simulation.published import serving
from er.simulation.recorded import QUANTITIES, RecordedPoint, recorded_points, spread
from er.simulation.spec import EngineSpec
from er.simulation.validate import published_study

MS = 1e-3
# Scale; host overhead in milliseconds.
GRID = list(itertools.product((0.6, 0.8, 1.0, 1.2, 1.4, 1.7, 2.0), (0.0, 0.5, 1.0, 2.0)))
SCALES = np.linspace(1.0, 1.5, 11)
BOUNDS = ((0.1, 10.0), (0.0, 100.0))


def corrected(spec: EngineSpec, scale: float, overhead_s: float) -> EngineSpec:
    """The engine with another correction."""
    engine = replace(spec.engine, step_time_scale=scale, host_overhead_s=overhead_s)
    return replace(spec, engine=engine)


def minimise(loss: Callable[[float, float], float]) -> tuple[float, float]:
    """Least of `loss` over (scale, overhead in seconds): the simplex method from the best of a
    coarse grid, since batches make the loss uneven; the overhead stays at or above 0."""
    scale, overhead = min(GRID, key=lambda point: loss(point[0], point[1] * MS))
    simplex = [(scale, overhead), (1.1 * scale, overhead), (scale, overhead + 0.3)]
    found = optimize.minimize(
        lambda x: loss(x[0], x[1] * MS),
        (scale, overhead),
        method="Nelder-Mead",
        bounds=BOUNDS,
        options={"initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-9},
    )
    return float(found.x[0]), float(found.x[1]) * MS


def published_scale(overhead_s: float) -> float:
    """The scale that fits the marked published rows with a given overhead, to two decimals.

    The simulated arrivals and batches make the loss uneven by more than neighbouring scales differ,
    so it is the vertex of a parabola through the losses of many, over the logarithm of the scale.
    """
    losses = [published_loss(float(scale), overhead_s) for scale in SCALES]
    square, slope, _ = np.polyfit(np.log(SCALES), losses, 2)
    return round(math.exp(-slope / (2 * square)), 2)


def published_loss(scale: float, overhead_s: float) -> float:
    """How far the marked published rows are from the simulation with this correction."""
    study = published_study()
    study = replace(study, base=corrected(study.base, scale, overhead_s))
    total = 0.0
    for row in serving():
        if row.fitted:
            ours = simulated_serving(row, study)
            total += math.log(ours.ttft_ms / row.ttft_ms) ** 2
            total += math.log(ours.itl_ms / row.itl_ms) ** 2
    return total


def recorded_loss(points: Sequence[RecordedPoint], scale: float, overhead_s: float) -> float:
    """How far measured points are from the simulation with this correction."""
    total = 0.0
    for point in points:
        ours = point.simulated(corrected(point.spec, scale, overhead_s))
        total += sum(math.log(ours[name] / point.medians[name]) ** 2 for name in QUANTITIES)
    return total


def report(points: Sequence[RecordedPoint], scale: float, overhead_s: float) -> list[str]:
    """Measured and simulated medians of every point, and how far repeats lie apart."""
    lines = [
        "| run | users | quantity | measured | simulated | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for point in points:
        ours = point.simulated(corrected(point.spec, scale, overhead_s))
        for name in QUANTITIES:
            theirs = point.medians[name]
            lines.append(
                f"| {point.run} | {point.users} | {name} | {theirs:.4g} | {ours[name]:.4g} "
                f"| {ours[name] / theirs:.2f} |"
            )
    for name, share in spread(points).items():
        known = f"{share:.1%}" if share == share else "unknown: give several runs of one point"
        lines.append(f"Largest spread of repeats, {name}: {known}")
    return lines


def main(arguments: Sequence[str]) -> None:
    """Fit and print the correction."""
    parser = cli.parser("er.simulation.calibrate", __doc__.splitlines()[0])
    about = "a measured run; where none is given, the published rows marked for it count"
    parser.add_argument("runs", nargs="*", metavar="run=DIRECTORY", help=about)
    paths = [Path(run.removeprefix("run=")) for run in parser.parse_args(arguments).runs]
    base = published_study().base
    points = [point for path in paths for point in recorded_points(path, base)]
    if points:
        scale, overhead_s = minimise(lambda s, o: recorded_loss(points, s, o))
        print("\n".join(report(points, scale, overhead_s)))
    else:
        overhead_s = base.engine.host_overhead_s
        scale = published_scale(overhead_s)
    print(f"engine.step_time_scale={scale:.3f} engine.host_overhead_s={overhead_s:.6f}")


if __name__ == "__main__":
    sys.exit(cli.run("er.simulation.calibrate", lambda: main(sys.argv[1:])))
