"""Prices fitted again on other prompts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_corpus import WORDS, sentence

from er.errors import ErError
from er.routing.recalibrate import peak, recalibrate
from er.routing.router import Router

SHIFTED = [sentence("law", n) for n in range(200, 260)] + [sentence("space", 3)]


def test_it_evens_out_the_load_on_shifted_prompts(either: Router) -> None:
    assert peak(either, SHIFTED) > 2
    assert peak(recalibrate(either, SHIFTED), SHIFTED) < 1.1


def test_only_the_prices_change(either: Router) -> None:
    fitted = recalibrate(either, SHIFTED)
    for name in ("idf", "components", "centres"):
        np.testing.assert_array_equal(getattr(fitted, name), getattr(either, name))
    assert fitted.terms == either.terms
    assert fitted.metadata["recalibrated_on"]["prompts"] == len(SHIFTED)


def test_it_does_not_depend_on_the_prices_before(either: Router) -> None:
    shifted = SHIFTED[:60]  # a multiple of the experts has one best assignment
    once = recalibrate(either, shifted)
    np.testing.assert_allclose(recalibrate(once, shifted).prices, once.prices, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(" ".join(WORDS.values()).split())), st.floats(-5, 5))
def test_equal_prices_never_change_the_decision(
    router: Router, words: list[str], price: float
) -> None:
    text = " ".join(words)
    raised = replace(router, prices=np.full(router.experts, price))
    margin = np.diff(np.sort(router.scores(text)))[-1]
    assert raised.classify(text) == router.classify(text) or margin < 1e-12


def test_fewer_prompts_than_experts_are_refused(router: Router) -> None:
    with pytest.raises(ErError, match="2 prompts are too few to balance 3 experts"):
        recalibrate(router, SHIFTED[:2])
