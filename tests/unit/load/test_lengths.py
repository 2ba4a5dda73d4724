"""Token counts against their table."""

import numpy as np
import pytest

from er.config import Lognormal, Range, Table
from er.load import lengths

TABLE = Table(
    percentiles=[0, 10, 50, 90, 100],
    tokens=[72, 89, 144, 518, 987],
    scale=1,
    at_least=64,
    at_most=1023,
)


def test_quantiles_equal_the_table_at_its_percentiles() -> None:
    assert lengths.quantiles(TABLE, TABLE.percentiles).tolist() == TABLE.tokens


def test_between_two_rows_the_logarithm_is_linear() -> None:
    assert lengths.quantiles(TABLE, [70])[0] == round((144 * 518) ** 0.5)


def test_draws_follow_the_table() -> None:
    drawn = lengths.draw(TABLE, 20_000, np.random.default_rng(1))
    assert np.percentile(drawn, TABLE.percentiles) == pytest.approx(TABLE.tokens, rel=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_a_few_draws_are_stratified(seed: int) -> None:
    drawn = lengths.draw(TABLE, 20, np.random.default_rng(seed))
    edges = lengths.quantiles(TABLE, range(0, 101, 5))
    shares = zip(edges, sorted(drawn), edges[1:], strict=False)
    assert all(low <= tokens <= high for low, tokens, high in shares)
    assert drawn != sorted(drawn)


def test_scaled_then_clipped() -> None:
    table = Table([0, 100], [10, 1000], scale=0.5, at_least=20, at_most=100)
    drawn = lengths.draw(table, 1000, np.random.default_rng(1))
    assert (min(drawn), max(drawn)) == (20, 100)


def test_one_seed_gives_one_list() -> None:
    first, again, other = (
        lengths.draw(TABLE, 50, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_a_range_has_all_its_numbers_equally_often() -> None:
    drawn = lengths.draw(Range(3, 6), 4000, np.random.default_rng(1))
    assert [drawn.count(tokens) for tokens in range(2, 8)] == [0, 1000, 1000, 1000, 1000, 0]
    assert lengths.draw(Range(7, 7), 3, np.random.default_rng(1)) == [7, 7, 7]
    assert lengths.quantiles(Range(3, 6), [0, 100]).tolist() == [3, 6]


def test_a_lognormal_has_its_median_and_sigma_and_is_clipped() -> None:
    wide = Lognormal(median=200, sigma=0.5, at_least=1, at_most=10**6)
    logarithms = np.log(lengths.draw(wide, 20_000, np.random.default_rng(1)))
    assert np.median(logarithms) == pytest.approx(np.log(200), abs=0.01)
    assert logarithms.std() == pytest.approx(0.5, rel=0.01)
    narrow = Lognormal(median=200, sigma=0.5, at_least=150, at_most=250)
    assert lengths.quantiles(narrow, [0, 50, 100]).tolist() == [150, 200, 250]
