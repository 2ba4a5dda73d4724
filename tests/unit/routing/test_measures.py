"""Measures of a router."""

import pytest
from tiny_corpus import WORDS, sentence

from er.routing import clusters
from er.routing.measures import evaluate
from er.routing.router import Router
from tests.unit.routing.conftest import CBTM

TEXTS = [sentence(topic, 500 + n) for n in range(40) for topic in WORDS]
LABELS = [topic for _ in range(40) for topic in WORDS]


def test_topics_that_are_told_apart_agree_perfectly(router: Router) -> None:
    measured = evaluate(router, TEXTS, LABELS)
    assert measured.agreement is not None
    assert measured.agreement.nmi == pytest.approx(1)
    assert measured.agreement.purity == pytest.approx(1)
    assert measured.agreement.ari == pytest.approx(1)
    assert measured.load == [40, 40, 40]
    assert measured.peak == pytest.approx(1)
    assert sorted(map(sorted, measured.topics.values())) == [[0, 0, 40]] * 3


def test_labels_that_say_nothing_do_not_agree(router: Router) -> None:
    measured = evaluate(router, TEXTS, ["even", "odd"] * 60)
    assert measured.agreement is not None
    assert measured.agreement.nmi < 0.05
    assert abs(measured.agreement.ari) < 0.05
    assert measured.agreement.purity == pytest.approx(0.5, abs=0.05)


def test_load_is_followed_over_time(router: Router) -> None:
    by_topic = sorted(TEXTS, key=router.classify)
    measured = evaluate(router, by_topic + by_topic[:30], None)
    assert measured.agreement is None
    assert measured.topics == {}
    assert measured.peak < 1.5
    assert len(measured.peaks_over_time) == 3
    assert min(measured.peaks_over_time) > 1.5


def test_a_router_is_stable_against_itself(router: Router) -> None:
    other = clusters.fit(
        [sentence(topic, n) for n in range(40) for topic in WORDS], CBTM, seed=5, metadata={}
    )
    assert evaluate(router, TEXTS, None, [router, other]).stability == pytest.approx([1, 1])


def test_top_terms_are_words_of_the_expert_s_topic(router: Router) -> None:
    measured = evaluate(router, TEXTS, None)
    for topic, words in WORDS.items():
        terms = measured.top_terms[router.classify(sentence(topic, 1))]
        assert len(terms) >= 5
        assert set(terms) <= set(words.split())
