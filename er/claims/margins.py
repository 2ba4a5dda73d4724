"""By how much a prediction may be off, for a verdict.

A predicted point has the lowest and highest that it may be (`predicted_interval`): draws of the
correction from kernel times, both bounds of INT8, and what the model cannot explain. Two
deployments may be off in opposite directions; the same deployment at two concurrencies is off in
one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from er.claims.resamples import value
from er.results.point import Point
from er.tracking.query import PublishedRun

# Of quantities that have no interval of their own: the one that moves alike.
ALIKE = {"ttft_s.min": "ttft_s.p50", "tokens_per_s_per_gpu": "tokens_per_s"}


@dataclass(frozen=True)
class Margin:
    """Logarithms of the lowest and highest over the value itself; both 0 of a measured point."""

    low: float = 0.0
    high: float = 0.0

    def over(self, other: "Margin") -> "Margin":
        """Of the ratio to another deployment's value."""
        return Margin(self.low - other.high, self.high - other.low)

    def beside(self, other: "Margin") -> "Margin":
        """Of the ratio to another value of the same deployment: both are low, or both high."""
        ends = (self.low - other.low, self.high - other.high)
        return Margin(min(0.0, *ends), max(0.0, *ends))

    def around(self, low: float, high: float) -> tuple[float, float]:
        """An interval widened by it."""
        return low * math.exp(self.low), high * math.exp(self.high)


NO_MARGIN = Margin()  # of what was measured


def mean_of(margins: Sequence[Margin]) -> Margin:
    """Of the mean of repeats, which are off alike."""
    return Margin(fmean(each.low for each in margins), fmean(each.high for each in margins))


def margin_of(run: PublishedRun, point: Point, quantity: str) -> Margin:
    """That of one value."""
    quantity = ALIKE.get(quantity, quantity)
    if quantity not in point.predicted_interval:
        return NO_MARGIN
    predicted = value(run, point, quantity)
    low, high = (math.log(end / predicted) for end in point.predicted_interval[quantity])
    return Margin(min(0.0, low), max(0.0, high))
