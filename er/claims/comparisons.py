"""One value held against another, with how sure that is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import NormalDist

import numpy as np

from er.claims.margins import NO_MARGIN, Margin, margin_of, mean_of
from er.claims.resamples import Resamples, Values, value
from er.claims.statements import FEWER, Claim, Relation
from er.results.point import Point
from er.results.words import count_of
from er.tracking.query import PublishedRun

ERROR = 0.05  # of a claim as a whole
FEW = "only"  # begins the reason of a point that lacks nothing but requests


class Outcome(Enum):
    """Whether something holds."""

    holds = "holds"
    fails = "fails"
    open = "open"


@dataclass(frozen=True)
class Comparison:
    """A ratio at one concurrency, and its confidence interval."""

    concurrency: int
    of: str
    than: str  # empty: held against the factor itself
    ratio: float
    low: float
    high: float
    outcome: Outcome
    paired: bool
    within: float = 0.0  # standard error over requests, as a share of the ratio
    between: float = 0.0  # the same over repeats; 0 where there are none
    unsure: bool = False  # open for what a prediction may be off by, not for want of requests


@dataclass(frozen=True)
class Missing:
    """A comparison that cannot be made."""

    concurrency: int
    deployment: str
    reason: str


@dataclass(frozen=True)
class _Side:
    log: float
    draws: Values  # deviations of the logarithm, over requests
    between: float = 0.0  # standard error of the mean of repeats
    margin: Margin = NO_MARGIN


def compare(
    claim: Claim, runs: dict[str, list[PublishedRun]], drawn: Resamples | None
) -> tuple[list[Comparison], list[Missing]]:
    """Every comparison that a claim makes, and those that lack a valid point.

    Without draws a ratio stands for itself. Intervals hold together with 95%
    confidence: each is made 1 - 5%/n wide (Bonferroni).
    """
    every = [run for name in claim.deployments for run in runs.get(name, [])]
    ladder = sorted({point.concurrency for run in every for point in run.points})
    walked = [concurrency for concurrency in ladder if claim.at[0] <= concurrency <= claim.at[1]]
    pairs = [(of, than) for of in claim.of for than in claim.than or ("",)]
    wanted = [
        (concurrency, of, than)
        for concurrency in walked
        for of, than in pairs
        if not claim.relative_to or _base(claim, concurrency, ladder)
    ]
    z = NormalDist().inv_cdf(1 - ERROR / 2 / max(1, len(wanted)))
    compared, missing = [], []
    for concurrency, of, than in wanted:
        left = _side(claim, runs[of], concurrency, ladder, drawn, of)
        right = (
            _side(claim, runs[than], concurrency, ladder, drawn, than)
            if than
            else _Side(0, 0 * _ONE)
        )
        if isinstance(left, Missing) or isinstance(right, Missing):
            missing += [side for side in (left, right) if isinstance(side, Missing)]
            continue
        log, within = left.log - right.log, float(np.std(left.draws - right.draws))
        between = math.hypot(left.between, right.between)
        error = max(within, between)  # the spread between repeats has that within them in it
        low, ratio, high = (math.exp(log + sign * z * error) for sign in (-1, 0, 1))
        margin = left.margin.over(right.margin)
        sampled, low, high = judge(claim, low, high), *margin.around(low, high)
        outcome = judge(claim, low, high)
        unsure = outcome is Outcome.open is not sampled
        paired = drawn is not None and drawn.paired.get(concurrency, False)
        compared.append(
            Comparison(
                concurrency, of, than, ratio, low, high, outcome, paired, within, between, unsure
            )
        )
    return compared, list(dict.fromkeys(missing))


_ONE = np.ones(1)


def judge(claim: Claim, low: float, high: float) -> Outcome:
    """Whether a ratio that lies between `low` and `high` is as claimed."""
    factor = claim.factor
    holds = {
        Relation.below: high < factor,
        Relation.above: low > factor,
        Relation.within: low >= 1 / factor and high <= factor,
    }
    fails = {
        Relation.below: low >= factor,
        Relation.above: high <= factor,
        Relation.within: high < 1 / factor or low > factor,
    }
    if holds[claim.is_]:
        return Outcome.holds
    return Outcome.fails if fails[claim.is_] else Outcome.open


def _side(
    claim: Claim,
    runs: Sequence[PublishedRun],
    concurrency: int,
    ladder: Sequence[int],
    drawn: Resamples | None,
    name: str,
) -> _Side | Missing:
    """The mean over repeats, and its draws: within a run, and between runs that were repeated."""
    sides = []
    for run in runs:
        own = _absolute(claim, run, concurrency, drawn, name)
        if claim.relative_to and not isinstance(own, Missing):
            base = _base(claim, concurrency, ladder)
            other = _absolute(claim, run, base, drawn, name)
            if isinstance(other, Missing):
                return other
            margin = own.margin.beside(other.margin)
            own = _Side(own.log - other.log, own.draws - other.draws, margin=margin)
        if isinstance(own, Missing):
            return own
        sides.append(own)
    return pooled(sides)


def pooled(sides: Sequence[_Side]) -> _Side:
    """The mean of repeats; the spread between them is kept apart from that over requests."""
    logs = np.array([side.log for side in sides])
    draws = np.mean([side.draws for side in sides], axis=0)
    between = float(logs.std(ddof=1)) / math.sqrt(len(sides)) if len(sides) > 1 else 0.0
    return _Side(float(logs.mean()), draws, between, mean_of([side.margin for side in sides]))


def _base(claim: Claim, concurrency: int, ladder: Sequence[int]) -> int:
    """The concurrency that another is held against; 0: there is none."""
    smaller = [other for other in ladder if other < concurrency]
    if claim.relative_to == FEWER:
        return smaller[-1] if smaller else 0
    base = int(claim.relative_to or 0)
    return base if base < concurrency else 0


def _absolute(
    claim: Claim, run: PublishedRun, concurrency: int, drawn: Resamples | None, name: str
) -> _Side | Missing:
    found: list[Point] = [point for point in run.points if point.concurrency == concurrency]
    if not found:
        return Missing(concurrency, name, "not measured")
    [point] = found
    if point.invalid:
        return Missing(concurrency, name, f"invalid ({point.invalid[0].partition(':')[0]})")
    if concurrency in run.doubts:
        return Missing(concurrency, name, f"is not what was measured ({run.doubts[concurrency]})")
    amount = value(run, point, claim.quantity)
    if not amount > 0:
        return Missing(concurrency, name, f"has no {claim.quantity}")
    margin = margin_of(run, point, claim.quantity)
    if drawn is None:
        return _Side(math.log(amount), 0 * _ONE, margin=margin)
    logs = drawn.logs(run, concurrency, claim.quantity)
    if logs is None:
        count = drawn.count(run, concurrency)
        kept = f"{FEW} {count_of(count, 'request')}, too few for an interval"
        return Missing(concurrency, name, kept if count else "its requests are not kept")
    return _Side(math.log(amount), logs - logs.mean(), margin=margin)
