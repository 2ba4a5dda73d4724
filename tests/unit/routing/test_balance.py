"""Prices and equal assignments, held against scipy's linear assignment."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from er.routing import balance


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(1, 20))
def test_the_equal_assignment_is_the_best_there_is(seed: int, clusters: int, size: int) -> None:
    scores = np.random.default_rng(seed).normal(size=(clusters * size, clusters))
    scores[:, 0] += 2  # wanted by most
    labels = balance.equal_assignment(scores)
    rows, columns = linear_sum_assignment(-np.repeat(scores, size, axis=1))
    assert np.bincount(labels, minlength=clusters).tolist() == [size] * clusters
    best = scores[rows, columns // size].sum()
    assert scores[np.arange(len(labels)), labels].sum() == pytest.approx(best)


@pytest.mark.parametrize(("count", "clusters"), [(7, 3), (8, 8), (9, 8), (100, 1)])
def test_sizes_differ_by_one_at_most(count: int, clusters: int) -> None:
    scores = np.random.default_rng(0).normal(size=(count, clusters))
    sizes = np.bincount(balance.equal_assignment(scores), minlength=clusters)
    assert sizes.max() - sizes.min() <= 1


def test_prompts_that_are_all_alike_are_shared_out() -> None:
    sizes = np.bincount(balance.equal_assignment(np.tile([3.0, 2.0, 1.0], (12, 1))))
    assert sizes.tolist() == [4, 4, 4]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_prices_even_out_the_load(seed: int, experts: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=(800, experts)) + generator.normal(size=experts)
    prices = balance.prices(scores)
    load = np.bincount((scores - prices).argmax(axis=1), minlength=experts)
    assert load.max() - load.min() <= 1
    assert prices.mean() == pytest.approx(0, abs=1e-12)


def test_steady_prices_even_out_the_load_of_unseen_prompts_better() -> None:
    generator = np.random.default_rng(0)
    exact, steady = [], []
    for _ in range(4):
        drawn = generator.normal(size=(1100, 6)) + np.linspace(0, 2, 6)
        drawn = drawn.round()  # many alike, as short prompts of few known terms are
        few, unseen = drawn[:100], drawn[100:]
        for found, prices in ((exact, balance.prices(few)), (steady, balance.steady_prices(few))):
            load = np.bincount((unseen - prices).argmax(axis=1), minlength=6)
            found.append(load.max() / load.mean())
    assert np.mean(steady) < np.mean(exact) - 0.05
