"""Cut or join texts of one topic to an exact number of tokens."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import cycle

import numpy as np

from er.corpus.tokenizer import Encoding
from er.errors import ErError

JOIN = "\n\n"
SPARE_TOKENS = 16  # beyond the wanted count, so that a cut can be moved to the right
CUT_TRIES = 4  # moves of a cut before shorter ones are filled up
FILLER = " and"  # one token of its own after any text that does not end in a space

Pieces = Iterator[list[int]]  # endless: tokenised texts of one topic


def cut(tokens: Sequence[int], count: int, encoding: Encoding, start: str = "") -> str:
    """`start` and as much of the text of `tokens` as makes exactly `count` tokens together.

    A cut can fall inside a character, and a joint can be tokenised differently, so the result is
    counted and the cut moved; when no cut fits, a shorter text is filled up. Raises ErError for a
    tokenizer that merges the filler with other text.
    """
    wanted = count - len(encoding.encode_ordinary(start))
    end = wanted
    for _ in range(CUT_TRIES):
        text = start + _decode(tokens[:end], encoding)
        excess = len(encoding.encode_ordinary(text)) - count
        if excess == 0:
            return text
        end = min(max(end - excess, 1), len(tokens))
    for end in range(min(wanted, len(tokens)), -1, -1):
        text = start + _decode(tokens[:end], encoding).rstrip()
        lacking = count - len(encoding.encode_ordinary(text))
        if lacking >= 0:
            filled = text + FILLER * lacking
            if len(encoding.encode_ordinary(filled)) == count:
                return filled
    raise ErError(
        f"this tokenizer makes no text of exactly {count} tokens: choose another workload.tokenizer"
    )


def beginnings(
    texts: Sequence[tuple[str, str]], encoding: Encoding, generator: np.random.Generator
) -> Iterator[tuple[str, Pieces]]:
    """An endless iterator of a topic and its tokenised texts, each time from another text onwards.

    Every text comes first once before any comes first again. Raises ErError when all texts are
    empty.
    """
    stripped = [(topic, text.strip()) for topic, text in texts]
    kept = [(topic, text) for topic, text in stripped if text]
    if not kept:
        raise ErError("the corpus has no text to make prompts from: choose another corpus")
    tokens = tokenised(tuple(text for _, text in kept), encoding)
    order = [int(place) for place in generator.permutation(len(kept))]
    by_topic: dict[str, list[int]] = {}
    for place in order:
        by_topic.setdefault(kept[place][0], []).append(place)
    rank = {place: at for places in by_topic.values() for at, place in enumerate(places)}

    def onwards(place: int) -> Pieces:
        places = by_topic[kept[place][0]]
        start = rank[place]
        return cycle([tokens[p] for p in places[start:] + places[:start]])

    return ((kept[place][0], onwards(place)) for place in cycle(order))


@cache
def tokenised(texts: tuple[str, ...], encoding: Encoding) -> list[list[int]]:
    """The tokens of each text; cached, since every point of a ladder uses the same texts."""
    return encoding.encode_ordinary_batch(list(texts))


def take(pieces: Pieces, count: int, encoding: Encoding) -> list[int]:
    """At least `count` + SPARE_TOKENS tokens of `pieces`, joined by blank lines."""
    joint = encoding.encode_ordinary(JOIN)
    taken = list(next(pieces))
    while len(taken) < count + SPARE_TOKENS:
        taken += joint + next(pieces)
    return taken


def in_common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many leading tokens two texts share."""
    pairs = zip(first, second, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def _decode(tokens: Sequence[int], encoding: Encoding) -> str:
    """Text of `tokens`, without the bytes of a last character that is not whole."""
    return encoding.decode(tokens, errors="ignore")
