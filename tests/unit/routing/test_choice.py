"""The best of several scores and the second, as both kernels and Python find them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from er.routing import native
from er.routing.choice import best_two
from er.routing.router import Router


def test_the_margin_is_that_over_the_second_best() -> None:
    assert best_two([1.0, 4.0, 3.5]) == (1, 0.5, 2)
    assert best_two([2.0, 2.0]) == (0, 0.0, 1)
    assert best_two([1.0]) == (0, float("inf"), 0)
    assert best_two([3.0, 1.0, 3.0, 3.0]) == (0, 0.0, 2)


@pytest.mark.parametrize("by", ["C", "numba"])
@given(prices=st.lists(st.sampled_from([-1.0, 0.0, 0.25, 1.0]), min_size=1, max_size=5))
def test_both_kernels_choose_as_python_does(by: str, prices: list[float]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if by == "numba":
            patch.setattr(native, "library", lambda: None)
        elif native.library() is None:
            pytest.skip("there is no C compiler")
        found = Router(
            ["court", "oven"], np.ones(2), np.eye(2, dtype=np.float32),
            np.zeros((len(prices), 2)), np.array(prices), False, {},
        )  # fmt: skip
    for text in ("court", "", "oven court é"):
        assert found.lookup.choose(text) == best_two(found.lookup.classify(text))
