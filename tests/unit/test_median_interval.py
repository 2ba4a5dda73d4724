"""The confidence interval of a median against tables and against chance."""

import math

import numpy as np
import pytest

from er.points import summarise


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(6, 1, 6), (10, 2, 9), (20, 6, 15), (50, 18, 33), (100, 40, 61)],  # ranks of the sign test
)
def test_the_ranks_are_those_of_the_sign_test(count: int, low: int, high: int) -> None:
    summary = summarise([float(value) for value in range(1, count + 1)])
    assert (summary.p50_low, summary.p50_high) == (low, high)


@pytest.mark.parametrize("count", [1, 5])
def test_too_few_values_have_no_interval(count: int) -> None:
    assert math.isnan(summarise([1.0] * count).p50_low)


@pytest.mark.parametrize("count", [20, 1000, 1001, 4000])
def test_the_interval_holds_the_median_as_often_as_it_says(count: int) -> None:
    generator = np.random.default_rng(count)
    held = 0
    for _ in range(400):
        summary = summarise(generator.exponential(size=count).tolist())
        held += summary.p50_low <= math.log(2) <= summary.p50_high
    assert 0.92 <= held / 400 <= 0.99


def test_exact_and_approximate_ranks_meet() -> None:
    exact, approximate = (summarise([float(v) for v in range(count)]) for count in (1000, 1001))
    assert exact.p50_low == pytest.approx(approximate.p50_low, abs=2)
    assert exact.p50_high == pytest.approx(approximate.p50_high, abs=2)
