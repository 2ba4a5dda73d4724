"""Fits the correction on the published runs that are for fitting, and says how sure it is."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from er.config import Correction
from er.simulation import fit
from er.simulation.as_published import Study, keeps_memory
from er.simulation.comparison import (
    PREDICTED,
    Row,
    bounds,
    compare,
    figures,
    half_digits,
    published_study,
    quantities_of,
    simulated,
    sixteen_bit,
)
from er.simulation.fit import CANDIDATES, CHOSEN, TOGETHER, Floats
from er.simulation.published import FILE, FIT, SHAPES, Serving, fits

SEED = 20261125  # of the draws
DRAWS = 16
RESAMPLED = 200  # for the intervals of the parameters
KEPT_SHARES = tuple(0.005 * step for step in range(8))  # that are tried
Bounds = dict[str, tuple[float, float]]  # lowest and highest of each quantity
COVERED = 0.9  # of the figures to fit on lie within the interval of a prediction


@dataclass(frozen=True)
class Fitted:
    """A correction fitted on published runs."""

    correction: Correction
    draws: Floats  # what other draws of the runs would have given, (draws, groups)
    loss: float
    cross_validated: float  # the loss of each fifth of the runs with a fit on the others


def fit_rows(rows: Sequence[Row], groups: fit.Groups, study: Study) -> Fitted:
    """The correction that fits these runs best."""
    true = np.array([value for row in rows for value in quantities_of(row).values()])
    half = np.array([value for row in rows for value in half_digits(row).values()])
    weight = fit.weights(true, half)
    run = np.array([run for run, row in enumerate(rows) for _ in quantities_of(row)])

    def simulate(correction: Correction) -> Floats:
        return figures(rows, study.corrected(correction))

    correction, jacobian = fit.fitted(groups, simulate, true, weight)
    residuals = np.log(simulate(correction) / true) * weight
    values = fit.values_of(groups, correction)
    others = np.array(residuals)
    fold = fit.folds_of([type(row).__name__ for row in rows], SEED)
    for part in range(fit.FOLDS) if groups else ():
        aside = fold[run] == part
        moved = np.maximum(values + fit.refit(jacobian, residuals, ~aside), 0.01)
        part_rows = [row for row, of in zip(rows, fold, strict=True) if of == part]
        ours = figures(part_rows, study.corrected(fit.correction_of(groups, moved)))
        others[aside] = np.log(ours / true[aside]) * weight[aside]
    draws = values
    if groups:
        draws = fit.resampled(values, jacobian, residuals, run.tolist(), SEED, RESAMPLED)
    return Fitted(
        correction,
        draws,
        fit.loss(residuals),
        fit.loss(others),
    )


def spread_between_engines(rows: Sequence[Row], study: Study) -> float:
    """How much the times of one engine (node, model, TP) differ from those of the correction that
    all share: standard deviation of the mean logarithms of simulated over published figures."""
    off: dict[tuple[str, str, int], list[float]] = {}
    for row in rows:
        true, ours = quantities_of(row), quantities_of(simulated(row, study))
        key = (row.hardware, row.model, row.tp)
        slow = [np.log(ours[name] / true[name]) * (-1 if "per_s" in name else 1) for name in true]
        off.setdefault(key, []).append(float(np.mean(slow)))
    return float(np.std([np.mean(of_engine) for of_engine in off.values()], ddof=1))


def residual_factors(rows: Sequence[Row], study: Study) -> dict[str, float]:
    """By quantity, the factor around the lowest and highest of the draws within which COVERED of
    the published figures lie."""
    return covering_factors((row, bounds(row, study)) for row in rows)


def unseen_factors(
    rows: Sequence[Row], study: Study, left_out: dict[str, dict[str, Any]]
) -> dict[str, float]:
    """The same around predictions of a node or a model of which nothing was fitted on: how far off
    a kind of engine may be that no published run to fit on has."""
    found: list[tuple[Row, Bounds]] = []
    for name, fitted in left_out.items():
        without = replace(study, kept_share=fitted["kept_share"])
        without = without.corrected(Correction(**fitted["correction"]))
        of_it = [row for row in rows if name in (row.hardware, row.model)]
        for compared in compare(without, of_it):
            ours = quantities_of(compared.simulated)
            found.append((compared.published, {key: (of, of) for key, of in ours.items()}))
    return covering_factors(found)


def covering_factors(found: Iterable[tuple[Row, Bounds]]) -> dict[str, float]:
    """By quantity, the factor around these bounds within which COVERED of the published figures
    lie. End-to-end latencies are those that follow from TTFT and ITL."""
    needed: dict[str, list[float]] = {}
    for row, of_row in found:
        known, half = quantities_of(row), half_digits(row)
        for name, (low, high) in of_row.items():
            beyond = max(1.0, low / (known[name] + half[name]), (known[name] - half[name]) / high)
            needed.setdefault(PREDICTED[name], []).append(beyond)
        if isinstance(row, Serving) and row.lengths not in SHAPES:
            gaps = row.output_tokens - 1
            low, high = (of_row["ttft_ms"][at] + gaps * of_row["itl_ms"][at] for at in (0, 1))
            least, most = (
                row.ttft_ms + gaps * row.itl_ms + sign * (1 + gaps) / 2 for sign in (-1, 1)
            )
            needed.setdefault("e2e_s", []).append(max(1.0, low / most, least / high))
    return {name: covering(values) for name, values in needed.items()}


def covering(factors: Sequence[float]) -> float:
    """The least of these factors that covers COVERED of a further one."""
    rank = math.ceil((len(factors) + 1) * COVERED)
    return float(sorted(factors)[min(rank, len(factors)) - 1])


def shares_tried(rows: Sequence[Row], say: Callable[[str], None]) -> dict[float, Fitted]:
    """The chosen correction for each share of the weights that engines may keep besides."""
    found = {}
    for share in KEPT_SHARES:  # a batch grows by whole requests: the loss has no derivative here
        study = replace(published_study(), kept_share=share)
        found[share] = fit_rows(rows, CANDIDATES[CHOSEN], study)
        say(
            f"{share:.1%} of the weights kept besides, loss {found[share].loss:.1f}, "
            f"cross-validated {found[share].cross_validated:.1f}"
        )
    return found


def says_what_is_kept(rows: Sequence[Row]) -> bool:
    """Whether the room for the KV cache decides in some of the runs that `keeps_memory` names."""
    return any(keeps_memory(row) and row.model == "llama3_70b" for row in rows)


def fit_published(say: Callable[[str], None] = print) -> dict[str, Any]:
    """Everything that `data/correction.json` holds but the factors of residuals."""
    rows = rows_to_fit()
    tried = shares_tried(rows, say)
    kept_share = min(tried, key=lambda share: tried[share].loss)
    study = replace(published_study(), kept_share=kept_share)
    fits_by_name = {CHOSEN: tried[kept_share]}
    for name, groups in CANDIDATES.items():
        fits_by_name[name] = found = fits_by_name.get(name) or fit_rows(rows, groups, study)
        say(
            f"{name}, loss {found.loss:.1f}, cross-validated {found.cross_validated:.1f}: "
            f"{overrides(found.correction)}"
        )
    chosen = fits_by_name[CHOSEN]
    groups = CANDIDATES[CHOSEN]
    between = spread_between_engines(rows, study.corrected(chosen.correction))
    random = np.random.default_rng(SEED)
    kept = []
    for values in chosen.draws[:DRAWS]:
        drawn, all_slower = fit.correction_of(groups, values), np.exp(random.normal(0, between))
        kept.append({name: value * all_slower for name, value in asdict(drawn).items()})
    low, high = np.quantile(chosen.draws, (0.05, 0.95), axis=0)
    left_out = {}
    for column in ("hardware", "model"):
        for value in dict.fromkeys(getattr(row, column) for row in rows):
            others = [row for row in rows if getattr(row, column) != value]
            # Engines on one GPU say nothing of all-reduces.
            apart = CANDIDATES[CHOSEN] if any(row.tp > 1 for row in others) else TOGETHER
            share = kept_share if says_what_is_kept(others) else 0.0
            correction = fit_rows(others, apart, replace(study, kept_share=share)).correction
            left_out[value] = {"correction": asdict(correction), "kept_share": share}
            say(f"without {value}: {overrides(correction)}")
    return {
        "about": "engine.correction as python -m er.simulation.calibrate fitted it on "
        "the published runs of the split `fit`; draws are bootstraps over those runs, each with "
        "the spread between engines",
        "seed": SEED,
        "chosen": CHOSEN,
        "kept_share": kept_share,
        "kept_shares": {
            f"{share:.1%}": [found.loss, found.cross_validated] for share, found in tried.items()
        },
        "losses": {name: fits_by_name[name].loss for name in CANDIDATES},
        "cross_validated": {name: fits_by_name[name].cross_validated for name in CANDIDATES},
        "candidates": {name: asdict(fits_by_name[name].correction) for name in CANDIDATES},
        "interval_90": {
            group[0]: [float(a) * fit.UNIT[group[0]], float(b) * fit.UNIT[group[0]]]
            for group, a, b in zip(groups, low, high, strict=True)
        },
        "spread_between_engines": between,
        "draws": kept,
        "left_out": left_out,
    }


def rows_to_fit() -> list[Row]:
    """The half of the published runs that a correction may be fitted on."""
    return [row for row in sixteen_bit() if row.split == FIT]


def write_published() -> Correction:
    """Fit on the published runs and keep what was found."""
    found = fit_published()
    chosen = Correction(**found["candidates"][CHOSEN])
    FILE.write_text(json.dumps(found, indent=1) + "\n")
    fits.cache_clear()
    published_study.cache_clear()
    rows, study = rows_to_fit(), published_study()
    found["residual_factors"] = residual_factors(rows, study.corrected(chosen))
    found["unseen_factors"] = unseen_factors(rows, study, found["left_out"])
    FILE.write_text(json.dumps(found, indent=1) + "\n")
    fits.cache_clear()
    return chosen


def overrides(correction: Correction) -> str:
    """A correction as one gives it on a command line."""
    return " ".join(
        f"engine.correction.{name}={value:.6g}" for name, value in asdict(correction).items()
    )
