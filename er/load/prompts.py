"""Prompts of real text, cut or joined within one topic to an exact number of tokens."""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
import tiktoken

from er import tokenizer
from er.config import Workload
from er.errors import ErError
from er.load import lengths
from er.results import Prompt

JOIN = "\n\n"
SPARE_TOKENS = 16  # beyond the wanted count, so that a cut can be moved to the right
FILLER = " and"  # one token of its own after any text that does not end in a space
TOKENIZERS: dict[str, Callable[[Path], tiktoken.Encoding]] = {"llama3": tokenizer.llama3}


def build(
    texts: Sequence[tuple[str, str]], workload: Workload, count: int, seed: int, cache_dir: Path
) -> list[Prompt]:
    """`count` prompts from `texts` (topic, text), with the token counts that `workload` draws.

    A prompt begins with one text and goes on with others of its topic until it is long enough; all
    texts are used once before any begins a second prompt. The same seed gives the same prompts.
    Raises ErError when there is no text, or no such tokenizer.
    """
    if workload.tokenizer not in TOKENIZERS:
        known = ", ".join(TOKENIZERS)
        raise ErError(f"workload.tokenizer is {workload.tokenizer}: choose one of {known}")
    encoding = TOKENIZERS[workload.tokenizer](cache_dir)
    generator = np.random.default_rng(seed)
    inputs = lengths.draw(workload.input, count, generator)
    outputs = lengths.draw(workload.output, count, generator)
    beginnings = _beginnings(texts, encoding, generator)
    prompts = []
    for input_tokens, output_tokens in zip(inputs, outputs, strict=True):
        topic, pieces = next(beginnings)
        tokens = _take(pieces, input_tokens + SPARE_TOKENS, encoding)
        prompts.append(
            Prompt(cut(tokens, input_tokens, encoding), topic, input_tokens, output_tokens)
        )
    return prompts


def cut(tokens: Sequence[int], count: int, encoding: tiktoken.Encoding) -> str:
    """Text of the first tokens that, tokenised again, has exactly `count` tokens.

    A cut can fall inside a character, and a joint can be tokenised differently, so the result is
    counted and the cut moved; where no cut fits, a shorter one is filled up.
    """
    end = count
    for _ in range(4):
        text = _decode(tokens[:end], encoding)
        excess = len(encoding.encode_ordinary(text)) - count
        if excess == 0:
            return text
        end = min(max(end - excess, 1), len(tokens))
    for end in range(min(count, len(tokens)), -1, -1):
        text = _decode(tokens[:end], encoding).rstrip()
        lacking = count - len(encoding.encode_ordinary(text))
        if lacking >= 0:
            filled = text + FILLER * lacking
            if len(encoding.encode_ordinary(filled)) == count:
                return filled
    raise AssertionError("the empty text can be filled up to any count")


def _beginnings(
    texts: Sequence[tuple[str, str]], encoding: tiktoken.Encoding, generator: np.random.Generator
) -> Iterator[tuple[str, Iterator[list[int]]]]:
    """For ever: a topic, and its tokenised texts from the next beginning onwards."""
    stripped = [(topic, text.strip()) for topic, text in texts]
    kept = [(topic, text) for topic, text in stripped if text]
    if not kept:
        raise ErError("the corpus has no text to make prompts from: choose another corpus")
    tokens = encoding.encode_ordinary_batch([text for _, text in kept])
    order = [int(place) for place in generator.permutation(len(kept))]
    by_topic: dict[str, list[int]] = {}
    for place in order:
        by_topic.setdefault(kept[place][0], []).append(place)
    rank = {place: at for places in by_topic.values() for at, place in enumerate(places)}

    def onwards(place: int) -> Iterator[list[int]]:
        places = by_topic[kept[place][0]]
        start = rank[place]
        return cycle([tokens[p] for p in places[start:] + places[:start]])

    return ((kept[place][0], onwards(place)) for place in cycle(order))


def _take(pieces: Iterator[list[int]], count: int, encoding: tiktoken.Encoding) -> list[int]:
    """At least `count` tokens of `pieces`, joined by blank lines."""
    joint = encoding.encode_ordinary(JOIN)
    taken = list(next(pieces))
    while len(taken) < count:
        taken += joint + next(pieces)
    return taken


def _decode(tokens: Sequence[int], encoding: tiktoken.Encoding) -> str:
    """Text of `tokens`, without the bytes of a last character that is not whole."""
    return encoding.decode(tokens, errors="ignore")
