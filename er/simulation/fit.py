"""Fits a correction to figures that were published or measured.

The residuals are logarithms of simulated over true figures, each over what it can be known to: the
model's own error, taken as 5%, and half of the last digit that was given. A soft L1 loss keeps the
runs where a queue only just grows from deciding alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from er.config import Correction

Floats = NDArray[np.float64]
Simulate = Callable[[Correction], Floats]  # the figures with a correction
MODEL_ERROR = 0.05
SCALES = ("memory_scale", "compute_scale", "communication_scale")
TIMES = ("host_step_s", "host_sequence_s", "host_prompt_s", "host_request_s")
NAMES = SCALES + TIMES
UNIT = dict(zip(NAMES, (1.0, 1.0, 1.0, 1e-3, 1e-5, 1e-3, 1e-3), strict=True))
LARGEST = 10.0
START = dict(zip(NAMES, (1.13, 1.1, 2.25, 0.37, 1.17, 1.1, 3.6), strict=True))  # in these units
# What is fitted: each group of parameters has one value; others are 1, or no time at all.
Groups = tuple[tuple[str, ...], ...]
HOST: Groups = tuple((name,) for name in TIMES)
CHOSEN = "memory, compute, communication, host"
CANDIDATES: dict[str, Groups] = {
    "none": (),
    "one scale": (SCALES,),
    "memory, compute, communication, host without prompts": (
        *((name,) for name in NAMES if name != "host_prompt_s"),
    ),
    CHOSEN: (*((name,) for name in NAMES),),
}
# With one scale for memory and all-reduces: engines on one GPU say nothing of these.
TOGETHER: Groups = (("memory_scale", "communication_scale"), ("compute_scale",), *HOST)
FOLDS = 5


def correction_of(groups: Groups, values: Sequence[float] | Floats) -> Correction:
    """The correction with a value for each group, in the units above."""
    found = dict.fromkeys(SCALES, 1.0) | dict.fromkeys(TIMES, 0.0)
    for group, value in zip(groups, values, strict=True):
        found |= {name: float(value) * UNIT[name] for name in group}
    return Correction(**found)


def values_of(groups: Groups, correction: Correction) -> Floats:
    """The inverse: the values of the first of each group."""
    given = asdict(correction)
    found: Floats = np.array([given[group[0]] / UNIT[group[0]] for group in groups])
    return found


def weights(true: Floats, half_digit: Floats) -> Floats:
    """One over how well the logarithm of each figure can be known."""
    found: Floats = 1 / np.sqrt(MODEL_ERROR**2 + (half_digit / true) ** 2 / 3)
    return found


def fitted(
    groups: Groups,
    simulate: Simulate,
    true: Floats,
    weight: Floats,
    prior: tuple[Floats, float] | None = None,
) -> tuple[Correction, Floats]:
    """The correction that fits best, and the derivatives of the residuals, (figures, groups).

    `prior` keeps a few figures from moving the values far: where they stood before, and by what
    share of themselves they may differ (those of times by as many of their units).
    """
    if not groups:
        return correction_of((), ()), np.zeros((len(true), 0))

    def residuals(values: Floats) -> Floats:
        off: Floats = np.log(simulate(correction_of(groups, values)) / true) * weight
        if prior is None:
            return off
        before, share = prior
        drawn: Floats = np.concatenate([off, (values - before) / (share * np.maximum(before, 1))])
        return drawn

    start = np.array([START[group[0]] for group in groups]) if prior is None else prior[0]
    found = optimize.least_squares(
        residuals,
        np.clip(start, 0.011, LARGEST),
        bounds=([0.01 if group[0] in SCALES else 0.0 for group in groups], LARGEST),
        loss="soft_l1",
        diff_step=0.02,
        xtol=1e-3,
        ftol=1e-3,
        max_nfev=12,
    )
    # Undoes what the soft loss did to the derivatives.
    jacobian: Floats = found.jac * ((1 + found.fun**2) ** 0.75)[:, None]
    return correction_of(groups, found.x), jacobian[: len(true)]


def loss(residuals: Floats) -> float:
    """What a fit makes least."""
    return float((np.sqrt(1 + residuals**2) - 1).sum())


def refit(jacobian: Floats, residuals: Floats, often: Floats | NDArray[np.int64]) -> Floats:
    """How far the values move when each residual counts so `often`, (groups): the model is taken as
    linear around the fit."""
    soft = 1 / np.sqrt(1 + residuals**2)  # what the soft L1 loss weighs each residual by

    def step(counts: Floats | NDArray[np.int64]) -> Floats:
        root = np.sqrt(counts * soft)
        found: Floats = np.linalg.lstsq(root[:, None] * jacobian, -root * residuals, rcond=None)[0]
        return found

    return step(often) - step(np.ones(len(residuals)))  # the fit stopped short of its end


def resampled(
    values: Floats, jacobian: Floats, residuals: Floats, runs: Sequence[int], seed: int, count: int
) -> Floats:
    """What other draws of the same runs would have given, (count, groups): the bootstrap over runs.
    `runs` is the run of each residual."""
    random = np.random.default_rng(seed)
    run = np.asarray(runs)
    count_of_runs = int(run.max()) + 1
    draws = []
    for _ in range(count):
        picked = random.integers(0, count_of_runs, count_of_runs)
        often = np.bincount(picked, minlength=count_of_runs)[run]
        draws.append(np.maximum(values + refit(jacobian, residuals, often), 0.0))
    return np.array(draws)


def folds_of(kinds: Sequence[str], seed: int) -> NDArray[np.int64]:
    """A part of FOLDS for each run, drawn so that each has its share of every kind."""
    random = np.random.default_rng(seed)
    found = np.empty(len(kinds), np.int64)
    for kind in sorted(set(kinds)):
        runs = np.flatnonzero(np.array(kinds) == kind)
        found[random.permutation(runs)] = np.arange(len(runs)) % FOLDS
    return found
