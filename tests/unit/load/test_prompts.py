"""Prompts have exactly the tokens that were drawn, and one topic each."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiktoken

from er.config import Table, TableWorkload
from er.errors import ErError
from er.load import lengths, prompts
from er.load.cutting import cut

WORKLOAD = TableWorkload(
    kind="table",
    name="test",
    description="",
    tokenizer="small",
    input=Table([0, 50, 100], [5, 40, 300], scale=1, at_least=1, at_most=1000),
    output=Table([0, 100], [2, 64], scale=1, at_least=2, at_most=64),
)
TEXTS = [
    ("sea", "The tide comes in twice a day, and 12345 boats wait for it.\n\n  Then they sail!"),
    ("sea", "Ça déjà — naïve façade 🐙🐙🐙 don't   stop..."),
    ("law", "判決は、明日の午前に言い渡される。" * 3),
    ("law", "A contract binds those who sign it; nobody else."),
    ("law", "   "),
]


pytestmark = pytest.mark.usefixtures("small_tokenizer")


def build(count: int, seed: int = 0, texts: list[tuple[str, str]] = TEXTS) -> list[prompts.Prompt]:
    return prompts.build(texts, WORKLOAD, count, seed, Path("unused"))


def test_every_text_has_exactly_its_tokens(small_tokenizer: tiktoken.Encoding) -> None:
    for prompt in build(2000):
        assert len(small_tokenizer.encode_ordinary(prompt.text)) == prompt.input_tokens


def test_counts_sent_follow_the_table(small_tokenizer: tiktoken.Encoding) -> None:
    sent = [len(small_tokenizer.encode_ordinary(prompt.text)) for prompt in build(4000)]
    percentiles = [25, 50, 75, 90, 99]
    wanted = lengths.quantiles(WORKLOAD.input, percentiles)
    assert np.percentile(sent, percentiles) == pytest.approx(wanted, rel=0.1)


def test_a_prompt_keeps_to_one_topic() -> None:
    letters = {"vowels": set("aeiou"), "digits": set("0123456789")}
    texts = [(topic, " ".join(sorted(some)) * 2) for topic, some in letters.items()] * 3
    for prompt in build(100, texts=texts):
        assert set(prompt.text.replace(" and", "").split()) <= _words(texts, prompt.topic)


def _words(texts: list[tuple[str, str]], topic: str) -> set[str]:
    return {word for name, text in texts if name == topic for word in text.split()}


def test_every_text_begins_a_prompt_before_any_begins_a_second() -> None:
    beginnings = [prompt.text[:1] for prompt in build(8)]
    assert len(set(beginnings[:4])) == 4
    assert beginnings[:4] == beginnings[4:]


def test_one_seed_gives_one_list() -> None:
    assert build(50, seed=1) == build(50, seed=1)
    assert build(50, seed=1) != build(50, seed=2)


def test_output_tokens_are_within_the_table() -> None:
    outputs = [prompt.output_tokens for prompt in build(500)]
    assert min(outputs) >= 2
    assert max(outputs) <= 64
    assert len(set(outputs)) > 30


@pytest.mark.parametrize("count", range(1, 60))
def test_a_cut_is_exact_at_every_place(count: int, small_tokenizer: tiktoken.Encoding) -> None:
    for _, text in TEXTS:
        tokens = small_tokenizer.encode_ordinary(text)
        assert len(small_tokenizer.encode_ordinary(cut(tokens, count, small_tokenizer))) == count


def test_no_text_is_an_error() -> None:
    with pytest.raises(ErError, match="no text to make prompts from"):
        build(1, texts=[("sea", "  ")])


def test_an_unknown_tokenizer_is_an_error() -> None:
    workload = replace(WORKLOAD, tokenizer="gpt9")
    with pytest.raises(ErError, match=r"workload\.tokenizer is gpt9: choose one of llama3"):
        prompts.build(TEXTS, workload, 1, 0, Path("unused"))
