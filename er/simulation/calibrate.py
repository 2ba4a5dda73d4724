"""Fit the correction from kernel times to those of a server: engine.correction.

    python -m er.simulation.calibrate                          on the published runs
    python -m er.simulation.calibrate run=DIRECTORY run=...    on measured runs

On the published runs it fits what `er.simulation.fit` lists on the half that is for fitting, and
writes `data/correction.json`: each candidate, the chosen one without each node and model, and draws
of it. On measured runs it fits the chosen parameters from where they stand, keeps every other point
aside, and says how much better the prediction of those became.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from er import cli
from er.config import Correction, require
from er.results import names
from er.results.words import count_of
from er.simulation import fit
from er.simulation.comparison import published_study
from er.simulation.fit import CANDIDATES, CHOSEN, Floats
from er.simulation.fit_published import overrides, write_published
from er.simulation.recorded import (
    QUANTITIES,
    RecordedPoint,
    kept_aside,
    recorded_points,
    spread,
)
from er.simulation.spec import EngineSpec

PRIOR_SHARE = 0.3


def errors_of(points: Sequence[RecordedPoint], correction: Correction | None = None) -> Floats:
    """Relative errors of the medians of measured points, (points, quantities); without `correction`
    with that of each run's own configuration."""
    found = []
    for point in points:
        ours = point.simulated(with_correction(point, correction) if correction else point.spec)
        found.append([abs(ours[name] / point.medians[name] - 1) for name in QUANTITIES])
    return np.array(found)


def with_correction(point: RecordedPoint, correction: Correction) -> EngineSpec:
    """The point's engine with another correction."""
    return replace(point.spec, engine=replace(point.spec.engine, correction=correction))


def fit_recorded(points: Sequence[RecordedPoint]) -> Correction:
    """The correction that fits measured points, from where it stands: a few points cannot move it
    where they say nothing."""
    groups = CANDIDATES[CHOSEN]
    before = fit.values_of(groups, points[0].spec.engine.correction)
    true = np.array([point.medians[name] for point in points for name in QUANTITIES])

    def simulate(correction: Correction) -> Floats:
        played = [point.simulated(with_correction(point, correction)) for point in points]
        return np.array([ours[name] for ours in played for name in QUANTITIES])

    weight = fit.weights(true, np.zeros_like(true))
    return fit.fitted(groups, simulate, true, weight, (before, PRIOR_SHARE))[0]


def report(points: Sequence[RecordedPoint]) -> list[str]:
    """What a fit on every other point does for the others, and the fit on all of them."""
    simulated = dict.fromkeys(
        f"{point.run} was {point.simulates}" for point in points if point.simulates
    )
    lines = [f"{what}: this says nothing of a GPU" for what in simulated]
    fit_on, aside = kept_aside(points)
    if aside:
        before = errors_of(aside)
        after = errors_of(aside, fit_recorded(fit_on))
        known, others = count_of(len(fit_on), "point"), len(aside)
        lines.append(f"fitted on {known}; of {others} kept aside, mean error:")
        for at, name in enumerate(QUANTITIES):
            lines.append(
                f"  {name}: {before[:, at].mean():.1%} before, {after[:, at].mean():.1%} after"
            )
        if after.mean() > before.mean():
            lines.append("worse than before: give more points, or keep the correction you have")
    else:
        lines.append("one point only: none is kept aside, so nothing says how good the fit is")
    for name, share in spread(points).items():
        known = f"{share:.1%}" if share == share else "unknown: give several runs of one point"
        lines.append(f"largest spread of repeats, {name}: {known}")
    lines.append("fitted on all points:")
    return [*lines, overrides(fit_recorded(points))]


def main(arguments: Sequence[str]) -> None:
    """Fit and print the correction."""
    parser = cli.parser("er.simulation.calibrate", __doc__.splitlines()[0])
    about = "a measured run; where none is given, the published runs are fitted on"
    parser.add_argument("runs", nargs="*", metavar="run=DIRECTORY", help=about)
    paths = [Path(run.removeprefix("run=")) for run in parser.parse_args(arguments).runs]
    for path in paths:
        runs = sorted(file.parent for file in path.glob(f"*/{names.CONFIG}"))
        give = f"a run of this study, such as run={runs[0]}" if runs else "run=DIRECTORY"
        require((path / names.CONFIG).is_file(), f"{path} is no run directory: give {give}")
    twice = [path for path, count in Counter(map(Path.resolve, paths)).items() if count > 1]
    require(not twice, f"given twice: {', '.join(map(str, twice))}")
    base = published_study().base
    points = [point for path in paths for point in recorded_points(path, base)]
    if points:
        print("\n".join(report(points)))
    else:
        print(overrides(write_published()))


if __name__ == "__main__":
    sys.exit(cli.run("er.simulation.calibrate", lambda: main(sys.argv[1:])))
