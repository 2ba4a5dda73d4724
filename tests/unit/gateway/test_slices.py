"""A long prompt is classified in slices, and decided as it would be whole."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from er.gateway import reasons, slices
from er.gateway.slices import cut, scores
from er.routing.choice import best_two
from er.routing.explain import explain
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


@pytest.mark.parametrize("text", ["court", "oven butter court court", "", "nothing known"])
@pytest.mark.parametrize("step_rows", [1, 2048])
async def test_the_reason_is_that_of_the_explanation(
    router: Router, text: str, step_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reasons, "STEP_ROWS", step_rows)
    rows, counts = await slices.count(router, text, 8)
    choice = best_two(router.lookup.score_rows(rows, counts))
    found = (await reasons.reason(router, rows, counts, choice)).decode()
    right = explain(router, text)
    assert found == ", ".join(f"{term}={part:+.4f}" for term, part in right.terms)
    assert choice[0] == right.expert


async def test_only_the_largest_parts_are_given(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reasons, "TERMS_AT_MOST", 2)
    text = "oven oven oven butter butter court"
    rows, counts = await slices.count(router, text)
    choice = best_two(router.lookup.score_rows(rows, counts))
    found = (await reasons.reason(router, rows, counts, choice)).decode()
    right = [f"{term}={part:+.4f}" for term, part in explain(router, text).terms[:2]]
    assert found.split(", ") == right
