"""Confidence intervals against tables and simulations; the start of a steady state."""

import math

import numpy as np
import pytest

from er.results.quantiles import summarise, transient


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


@pytest.mark.parametrize(("name", "least"), [("p50", 6), ("p95", 72), ("p99", 368)])
def test_tails_have_an_interval_from_some_number_on(name: str, least: int) -> None:
    values = np.arange(least, dtype=float)
    few, enough = summarise(values[:-1]), summarise(values)
    assert math.isnan(getattr(few, f"{name}_low"))
    assert math.isnan(getattr(few, f"{name}_high"))
    bounds = [getattr(enough, f"{name}{bound}") for bound in ("_low", "", "_high")]
    assert bounds == sorted(bounds)
    assert bounds[-1] == least - 1  # the largest value


@pytest.mark.parametrize(
    ("name", "share", "count"),
    [("p50", 0.5, 20), ("p50", 0.5, 4000), ("p95", 0.95, 100), ("p99", 0.99, 2000)],
)
def test_an_interval_holds_its_quantile_as_often_as_it_says(
    name: str, share: float, count: int
) -> None:
    generator = np.random.default_rng(count)
    true = -math.log(1 - share)  # of the exponential distribution
    held = 0
    for _ in range(400):
        summary = summarise(generator.exponential(size=count))
        held += getattr(summary, f"{name}_low") <= true <= getattr(summary, f"{name}_high")
    assert 0.92 <= held / 400 <= 0.995


def test_gaps_of_one_stream_have_no_interval() -> None:
    assert math.isnan(summarise([1.0] * 1000, independent=False).p50_low)


def test_a_start_that_differs_is_cut() -> None:
    noise = np.random.default_rng(0).normal(size=400)
    warming = np.concatenate([np.linspace(30, 0, 60), np.zeros(340)])
    cut = transient(noise + warming)
    assert cut is not None
    assert 45 <= cut <= 75


def test_a_steady_series_is_hardly_cut() -> None:
    cuts = [transient(np.random.default_rng(seed).normal(size=400)) for seed in range(40)]
    assert sum(cut is None for cut in cuts) <= 4


def test_outliers_do_not_hide_a_steady_state() -> None:
    generator = np.random.default_rng(0)
    spikes = [generator.random(400) + (generator.random(400) < 0.02) * 100 for _ in range(40)]
    cuts = [transient(series) for series in spikes]
    assert sum(cut is None for cut in cuts) <= 4
    assert np.median([cut for cut in cuts if cut is not None]) <= 40


def test_a_drift_is_never_steady() -> None:
    drift = np.random.default_rng(0).normal(size=400) + np.linspace(0, 50, 400)
    assert transient(drift) is None


def test_few_values_cannot_be_told_to_be_steady() -> None:
    assert transient([1.0] * 99) is None
    assert transient([1.0] * 100) == 0
