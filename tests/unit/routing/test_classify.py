"""Decisions of a trained router, held against scikit-learn's own pipeline."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer
from sklearn.preprocessing import normalize
from tiny_corpus import WORDS, sentence

from er.routing import kernel
from er.routing.router import Router, save

ODD = [
    "",
    " ",
    "a",
    "12 34",
    "3rd 4th court",
    "😀😀 oven",
    "é",
    "İstanbul ÇA COÛTE court",
    "\x00court\x00",
    "ﬁﬁ ǅungla Straße STRASSE",
    "court_room _court_ court",
    "x²court ²court",
    "\ud800 oven \udfff",
    "the court of the galaxy " * 60_000,
    "café orbit " * 100_000,
    "0123456789 " * 1000,
]


class NumberNormalizing(TfidfVectorizer):  # type: ignore[misc]
    """C-BTM's vectorizer: a token that begins with a digit becomes #NUMBER."""

    def build_tokenizer(self):  # type: ignore[no-untyped-def]
        split = super().build_tokenizer()
        return lambda text: ["#NUMBER" if word[0].isdigit() else word for word in split(text)]


def reference(router: Router, texts: list[str]) -> NDArray[np.intp]:
    """Decisions of scikit-learn's pipeline, given what the router has learned."""
    vectorizer = NumberNormalizing(
        stop_words=[*ENGLISH_STOP_WORDS, "#NUMBER"],
        vocabulary={term: row for row, term in enumerate(router.terms)},
        sublinear_tf=router.sublinear_tf,
    )
    vectorizer.idf_ = router.idf
    with pytest.warns(UserWarning, match="stop_words may be inconsistent"):
        weighted = vectorizer.transform(texts)
    embedded = normalize(weighted @ router.components.astype(np.float64))
    distances = ((embedded[:, None, :] - router.centres[None]) ** 2).sum(axis=2)
    decisions: NDArray[np.intp] = (distances / 2 + router.prices).argmin(axis=1)
    return decisions


def test_decisions_are_those_of_scikit_learn(either: Router) -> None:
    mixed = [f"{sentence(a, n)} {sentence(b, -n)}" for n in range(99) for a in WORDS for b in WORDS]
    foreign = [f"ÇA {text.upper()} - naïve Ωmega" for text in mixed]
    texts = ODD + mixed + foreign
    assert [either.classify(text) for text in texts] == reference(either, texts).tolist()


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_any_text_is_classified_as_by_scikit_learn(router: Router, text: str) -> None:
    expert = router.classify(text)
    assert expert == router.classify(text)
    assert [expert] == reference(router, [text]).tolist()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*" ".join(WORDS.values()).split(), "Ωmega", "7up", "the"])))
def test_any_mixture_of_terms_is_classified_as_by_scikit_learn(
    either: Router, words: list[str]
) -> None:
    text = " ".join(words)
    assert [either.classify(text)] == reference(either, [text]).tolist()


def test_the_two_ways_of_finding_terms_agree(either: Router) -> None:
    for text in [text for text in ODD if text.isascii()] + [sentence(t, 7) for t in WORDS]:
        rows, counts = either.lookup.rows(text)
        other_rows, other_counts = either.lookup.rows(text + " é")
        assert rows.tolist() == other_rows.tolist()
        assert counts.tolist() == other_counts.tolist()


def test_topics_of_unseen_prompts_are_told_apart(either: Router) -> None:
    experts = {topic: either.classify(sentence(topic, 1000)) for topic in WORDS}
    assert sorted(experts.values()) == [0, 1, 2]
    for topic, expert in experts.items():
        assert {either.classify(sentence(topic, 1000 + n)) for n in range(20)} == {expert}


def test_another_process_decides_alike(router: Router, tmp_path: Path) -> None:
    save(router, tmp_path / "router.npz")
    texts = [*(sentence(topic, 5) for topic in WORDS), "ÇA coûte", ""]
    script = (
        "import sys; from pathlib import Path; from er.routing.router import load\n"
        "router = load(Path(sys.argv[1]))\n"
        "print(*(value.hex() for text in sys.argv[2:] for value in router.scores(text)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "router.npz"), *texts],
        env=os.environ | {"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert said == [float(value).hex() for text in texts for value in router.scores(text)]


def test_code_compiles_where_no_cache_can_be_written() -> None:
    without_a_file: dict[str, Any] = {}
    exec("def successor(number): return number + 1", without_a_file)
    assert kernel.compiled(without_a_file["successor"])(1) == 2
