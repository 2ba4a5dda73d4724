"""Decisions of a trained router, held against scikit-learn."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer
from sklearn.preprocessing import normalize

from er.errors import ErError
from er.routing import clusters
from er.routing.classify import Router
from tests.unit.routing.conftest import WORDS, sentence

ODD = [
    "",
    " ",
    "12 34",
    "😀😀",
    "é",
    "İstanbul ÇA COÛTE",
    "a",
    "\x00",
    "ﬁﬁ ǅungla",
    "court " * 9999,
]


class NumberNormalizing(TfidfVectorizer):  # type: ignore[misc]
    """C-BTM's vectorizer: a token that begins with a digit becomes #NUMBER."""

    def build_tokenizer(self):  # type: ignore[no-untyped-def]
        split = super().build_tokenizer()
        return lambda text: ["#NUMBER" if word[0].isdigit() else word for word in split(text)]


def reference(router: Router, texts: list[str]) -> NDArray[np.intp]:
    """Nearest centres by scikit-learn's own pipeline, given what the router has learned."""
    vectorizer = NumberNormalizing(
        stop_words=[*ENGLISH_STOP_WORDS, "#NUMBER"], vocabulary=router.index
    )
    vectorizer.idf_ = router.idf
    with pytest.warns(UserWarning, match="stop_words may be inconsistent"):
        weighted = vectorizer.transform(texts)
    embedded = normalize(weighted @ router.components.astype(np.float64))
    distances = ((embedded[:, None, :] - router.centres[None]) ** 2).sum(axis=2)
    nearest: NDArray[np.intp] = distances.argmin(axis=1)
    return nearest


def test_decisions_are_those_of_scikit_learn(router: Router) -> None:
    texts = ODD + [
        f"{sentence(a, n)} {sentence(b, -n)}" for n in range(99) for a in WORDS for b in WORDS
    ]
    assert [router.classify(text) for text in texts] == reference(router, texts).tolist()


def test_topics_of_unseen_prompts_are_told_apart(router: Router) -> None:
    experts = {topic: router.classify(sentence(topic, 1000)) for topic in WORDS}
    assert sorted(experts.values()) == [0, 1, 2]
    for topic, expert in experts.items():
        assert {router.classify(sentence(topic, 1000 + n)) for n in range(20)} == {expert}


def test_the_same_seed_gives_the_same_router() -> None:
    texts = [sentence(topic, n) for n in range(20) for topic in WORDS]
    one, two = (clusters.fit(texts, 5, 3, seed=7, metadata={}) for _ in range(2))
    np.testing.assert_array_equal(one.centres, two.centres)
    np.testing.assert_array_equal(one.components, two.components)


def test_too_few_prompts_are_refused() -> None:
    with pytest.raises(ErError, match="3 prompts are too few for 5 components and 3 clusters"):
        clusters.fit(["one two", "three four", "five six"], 5, 3, seed=0, metadata={})
