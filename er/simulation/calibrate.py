"""Fit the correction from kernel times to those of a server: engine.correction.

    python -m er.simulation.calibrate                          on the published runs
    python -m er.simulation.calibrate run=DIRECTORY run=...    on measured runs

On the published runs it fits what `er.simulation.fit` lists on the half that is for fitting, and
writes `data/correction.json`: each candidate, the chosen one without each node and model, and draws
of it. On measured runs it fits the chosen parameters from where they stand, keeps every other point
aside, and says how much better the prediction of those became.
"""

import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from er import cli
from er.config import Correction
from er.simulation import fit
from er.simulation.fit import CANDIDATES, Floats
from er.simulation.published import CHOSEN, FILE, FIT, Offline, Serving
from er.simulation.recorded import QUANTITIES, RecordedPoint, recorded_points, spread
from er.simulation.spec import EngineSpec
from er.simulation.validate import (
    half_digits,
    published_study,
    quantities_of,
    simulated,
    sixteen_bit,
)

SEED = 20261125  # of the draws
DRAWS = 16
RESAMPLED = 200  # for the intervals of the parameters
PRIOR_SHARE = 0.3
TOGETHER = "memory, compute, host"  # the same with one scale for memory and all-reduces
THREADS = 2
Row = Serving | Offline


def fit_rows(rows: Sequence[Row], groups: fit.Groups) -> tuple[Correction, Floats, float]:
    """The correction that fits these runs, what other draws of them would have given, and what
    remains of the loss."""
    study = published_study()
    true = np.array([value for row in rows for value in quantities_of(row).values()])
    half = np.array([value for row in rows for value in half_digits(row).values()])
    weight = fit.weights(true, half)
    runs = [run for run, row in enumerate(rows) for _ in quantities_of(row)]

    def simulate(correction: Correction) -> Floats:
        corrected = study.corrected(correction)
        with ThreadPoolExecutor(THREADS) as pool:
            played = pool.map(lambda row: quantities_of(simulated(row, corrected)), rows)
        return np.array([value for found in played for value in found.values()])

    correction, jacobian = fit.fitted(groups, simulate, true, weight)
    residuals = np.log(simulate(correction) / true) * weight
    values = fit.values_of(groups, correction)
    return (
        correction,
        fit.resampled(values, jacobian, residuals, runs, SEED, 200),
        fit.loss(residuals),
    )


def spread_between_engines(rows: Sequence[Row], correction: Correction) -> float:
    """How much the times of one engine (node, model, TP) differ from those of the correction that
    all share: standard deviation of the mean logarithms of simulated over published figures."""
    study = published_study().corrected(correction)
    off: dict[tuple[str, str, int], list[float]] = {}
    for row in rows:
        true, ours = quantities_of(row), quantities_of(simulated(row, study))
        key = (row.hardware, row.model, row.tp)
        slow = [np.log(ours[name] / true[name]) * (-1 if "per_s" in name else 1) for name in true]
        off.setdefault(key, []).append(float(np.mean(slow)))
    return float(np.std([np.mean(of_engine) for of_engine in off.values()], ddof=1))


def fit_published(say: Callable[[str], None] = print) -> dict[str, Any]:
    """Everything that `data/correction.json` holds."""
    rows = [row for row in sixteen_bit() if row.split == FIT]
    candidates, spread_of, losses = {}, {}, {}
    for name, groups in CANDIDATES.items():
        correction, draws, losses[name] = fit_rows(rows, groups)
        candidates[name], spread_of[name] = asdict(correction), draws
        say(f"{name}, loss {losses[name]:.1f}: {overrides(correction)}")
    groups = CANDIDATES[CHOSEN]
    between = spread_between_engines(rows, Correction(**candidates[CHOSEN]))
    random = np.random.default_rng(SEED)
    kept = []
    for values in spread_of[CHOSEN][:DRAWS]:
        drawn, all_slower = fit.correction_of(groups, values), np.exp(random.normal(0, between))
        kept.append({name: value * all_slower for name, value in asdict(drawn).items()})
    low, high = np.quantile(spread_of[CHOSEN], (0.05, 0.95), axis=0)
    left_out = {}
    for column in ("hardware", "model"):
        for value in dict.fromkeys(getattr(row, column) for row in rows):
            others = [row for row in rows if getattr(row, column) != value]
            # Engines on one GPU say nothing of all-reduces.
            apart = CHOSEN if any(row.tp > 1 for row in others) else TOGETHER
            left_out[value] = asdict(fit_rows(others, CANDIDATES[apart])[0])
            say(f"without {value}: {overrides(Correction(**left_out[value]))}")
    return {
        "about": "engine.correction as python -m er.simulation.calibrate fitted it on "
        "the published runs of the split `fit`; draws are bootstraps over those runs, each with "
        "the spread between engines",
        "seed": SEED,
        "chosen": CHOSEN,
        "losses": losses,
        "candidates": candidates,
        "interval_90": {
            group[0]: [float(a) * fit.UNIT[group[0]], float(b) * fit.UNIT[group[0]]]
            for group, a, b in zip(groups, low, high, strict=True)
        },
        "spread_between_engines": between,
        "draws": kept,
        "left_out": left_out,
    }


def errors_of(points: Sequence[RecordedPoint], correction: Correction) -> Floats:
    """Relative errors of the medians of measured points, (points, quantities)."""
    found = []
    for point in points:
        ours = point.simulated(with_correction(point, correction))
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
    lines = []
    fit_on, aside = points[::2], points[1::2]
    if aside:
        before = errors_of(aside, points[0].spec.engine.correction)
        after = errors_of(aside, fit_recorded(fit_on))
        lines.append(f"fitted on {len(fit_on)} points; of {len(aside)} kept aside, mean error:")
        for at, name in enumerate(QUANTITIES):
            lines.append(f"  {name}: {before[:, at].mean():.1%} before, {after[:, at].mean():.1%}")
    else:
        lines.append("one point only: none is kept aside, so nothing says how good the fit is")
    for name, share in spread(points).items():
        known = f"{share:.1%}" if share == share else "unknown: give several runs of one point"
        lines.append(f"largest spread of repeats, {name}: {known}")
    lines.append("fitted on all points:")
    return [*lines, overrides(fit_recorded(points))]


def overrides(correction: Correction) -> str:
    """A correction as one gives it on a command line."""
    return " ".join(
        f"engine.correction.{name}={value:.6g}" for name, value in asdict(correction).items()
    )


def main(arguments: Sequence[str]) -> None:
    """Fit and print the correction."""
    parser = cli.parser("er.simulation.calibrate", __doc__.splitlines()[0])
    about = "a measured run; where none is given, the published runs are fitted on"
    parser.add_argument("runs", nargs="*", metavar="run=DIRECTORY", help=about)
    paths = [Path(run.removeprefix("run=")) for run in parser.parse_args(arguments).runs]
    base = published_study().base
    points = [point for path in paths for point in recorded_points(path, base)]
    if points:
        print("\n".join(report(points)))
    else:
        found = fit_published()
        FILE.write_text(json.dumps(found, indent=1) + "\n")
        print(overrides(Correction(**found["candidates"][CHOSEN])))


if __name__ == "__main__":
    sys.exit(cli.run("er.simulation.calibrate", lambda: main(sys.argv[1:])))
