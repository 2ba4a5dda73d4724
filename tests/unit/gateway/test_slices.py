"""A long prompt is classified in slices, and decided as it would be whole."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from er.gateway.slices import cut, scores
from er.routing.router import Router
from tests.unit.gateway.conftest import TOPICS

WORDS = [*" ".join(TOPICS.values()).split(), "É", "ΑΣ", "ΑΣ'Α", "中文。字", "x_1", "İ", "a" * 300]  # noqa: RUF001
TEXTS = st.lists(
    st.sampled_from(WORDS) | st.text(max_size=9) | st.sampled_from(["\n", "; ", "-"]), max_size=60
).flatmap(lambda words: st.sampled_from(["", " ", ", "]).map(lambda gap: gap.join(words)))


@given(TEXTS, st.integers(4, 40))
@settings(max_examples=500, deadline=None)
def test_slices_are_counted_as_the_whole(router: Router, text: str, letters: int) -> None:
    if any(len(run) > letters for run in text.split()):
        return  # a run longer than a slice is no term, and these slices are shorter than terms
    sliced = asyncio.run(scores(router, text, letters))
    assert sliced == router.scores(text).tolist()


@given(st.text(min_size=1), st.integers(1, 10))
def test_nothing_is_lost_where_words_end(text: str, letters: int) -> None:
    spaced = " ".join(text)
    assert "".join(cut(spaced, letters)) == spaced


@pytest.mark.parametrize("run", ["a" * 200_000, "é" * 200_000, "中" * 200_000])
def test_a_run_without_an_end_is_passed_over(router: Router, run: str) -> None:
    text = f"{TOPICS['law']} {run} {TOPICS['law']}"
    assert asyncio.run(scores(router, text)) == router.scores(text).tolist()
    assert max(map(len, cut(text))) < 100_000
