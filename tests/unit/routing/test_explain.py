"""Why a prompt goes where it goes: exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_corpus import WORDS, sentence

from er.routing.explain import explain, term_scores
from er.routing.router import Router

TERMS = " ".join(WORDS.values()).split()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([*TERMS, "Ωmega", "the"])))
def test_the_parts_add_up_to_the_margin(either: Router, words: list[str]) -> None:
    why = explain(either, " ".join(words))
    parts = sum(part for _, part in why.terms)
    assert parts + why.offset == pytest.approx(why.margin, abs=1e-9)
    assert why.margin >= 0
    assert {term for term, _ in why.terms} == set(words) - {"Ωmega", "the"}


def test_it_names_the_expert_its_scores_and_the_largest_parts_first(either: Router) -> None:
    text = sentence("space", 7)
    why = explain(either, text)
    assert why.expert == either.classify(text)
    assert why.scores == either.scores(text).tolist()
    assert sorted(why.scores)[-2] == why.scores[why.runner_up]
    sizes = [abs(part) for _, part in why.terms]
    assert sizes == sorted(sizes, reverse=True)


def test_the_weights_are_those_of_cbtm(either: Router) -> None:
    text = sentence("law", 7)
    vector, length = either.lookup.embed(text)
    squared = ((vector / length - either.centres) ** 2).sum(axis=1)
    expected = np.exp(-squared / 0.1)
    assert explain(either, text).weights == pytest.approx(list(expected / expected.sum()))


def test_terms_explain_every_score(either: Router) -> None:
    text = sentence("cooking", 9)
    rows, parts = term_scores(either, text)
    assert len(rows) == len(parts)
    np.testing.assert_allclose(parts.sum(axis=0) - either.offsets, either.scores(text))
