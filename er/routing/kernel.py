"""The kernel of classification, compiled by numba: find a text's terms, add up its vector, score
the experts. Where there is a C compiler, kernel.c does the same (native.py).

Floating-point sums run in one fixed order, so that every machine decides alike.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from er.routing.arrays import FREE, Bytes, Floats, Ints, TermArrays, word_classes
from er.routing.choice import Choice, best_two

FNV_START = np.uint64(0xCBF29CE484222325)
FNV_PRIME = np.uint64(0x100000001B3)
CLASSES = np.frombuffer(word_classes(), np.uint8)

Compiled = TypeVar("Compiled", bound=Callable[..., Any])


def compiled(function: Compiled) -> Compiled:
    """Compile with numba; machine code is kept on disk where a folder can be written."""
    try:
        return cast(Compiled, numba.njit(cache=True, error_model="numpy")(function))
    except RuntimeError:  # no folder for the cache: compile in every process
        return cast(Compiled, numba.njit(error_model="numpy")(function))


@compiled
def fnv(text: Bytes) -> np.uint64:
    """The FNV-1a hash of some bytes."""
    value = FNV_START
    for byte in text:
        value = (value ^ np.uint64(byte)) * FNV_PRIME
    return value


@compiled
def hash_table(terms: Bytes, starts: Ints, slots: int) -> tuple[NDArray[np.uint64], Ints]:
    """The hash of each row's term, and an open-addressing table of rows.

    `slots` is a power of two above the number of terms.
    """
    hashes = np.empty(len(starts) - 1, np.uint64)
    table = np.full(slots, FREE, np.int32)
    for row in range(len(hashes)):
        hashes[row] = fnv(terms[starts[row] : starts[row + 1]])
        slot = hashes[row] & np.uint64(slots - 1)
        while table[slot] != FREE:
            slot = (slot + np.uint64(1)) & np.uint64(slots - 1)
        table[slot] = row
    return hashes, table


@compiled
def is_term(word: Bytes, classes: Bytes, terms: Bytes, starts: Ints, row: int) -> bool:
    """Whether a word, lower-cased, is the term of a row."""
    term = terms[starts[row] : starts[row + 1]]
    if len(term) != len(word):
        return False
    for place in range(len(word)):  # noqa: SIM110 (numba compiles no generators)
        if classes[word[place]] != term[place]:
            return False
    return True


@compiled
def count_terms(
    text: Bytes,
    classes: Bytes,
    terms: Bytes,
    starts: Ints,
    hashes: NDArray[np.uint64],
    table: Ints,
    counts: Ints,
    touched: Ints,
) -> int:
    """Count the known terms of a text into `counts`, by row; list those rows in `touched`.

    `counts` must be zero and `touched` as long as there are terms. The result is how many rows were
    touched.
    """
    length, found, at = len(text), 0, 0
    mask = np.uint64(len(table) - 1)
    while at < length:
        letter = classes[text[at]]
        if letter == 0:
            at += 1
            continue
        begin, value = at, FNV_START
        while letter != 0:
            value = (value ^ np.uint64(letter)) * FNV_PRIME
            at += 1
            letter = classes[text[at]] if at < length else np.uint8(0)
        slot = value & mask
        row = table[slot]
        while row != FREE:
            if hashes[row] == value and is_term(text[begin:at], classes, terms, starts, row):
                if counts[row] == 0:
                    touched[found] = row
                    found += 1
                counts[row] += 1
                break
            slot = (slot + np.uint64(1)) & mask
            row = table[slot]
    return found


@compiled
def embed(
    touched: Ints, counts: Ints, idf: Floats, components: NDArray[np.float32], sublinear: bool
) -> tuple[Floats, float]:
    """The projected tf-idf vector of the touched rows, not scaled, and its length.

    Sets `counts` back to zero.
    """
    projected = np.zeros(components.shape[1])
    for row in touched:
        frequency = 1.0 + np.log(counts[row]) if sublinear else float(counts[row])
        weight = frequency * idf[row]
        counts[row] = 0
        for dimension in range(len(projected)):
            projected[dimension] += weight * components[row, dimension]
    squared = 0.0
    for value in projected:
        squared += value * value
    return projected, np.sqrt(squared)


@compiled
def score(projected: Floats, length: float, centres: Floats, offsets: Floats) -> Floats:
    """For each expert: unit vector times centre, minus offset."""
    scores = np.empty(len(centres))
    scale = 1.0 / length if length > 0 else 1.0
    for expert in range(len(centres)):
        total = 0.0
        for dimension in range(len(projected)):
            total += projected[dimension] * centres[expert, dimension]
        scores[expert] = total * scale - offsets[expert]
    return scores


class Kernel:
    """See `lookup.Kernel`."""

    def __init__(self, arrays: TermArrays, centres: Floats, offsets: Floats) -> None:
        terms_count = len(arrays.idf)
        self._arrays, self._experts = arrays, (centres, offsets)
        self.counts = np.zeros(terms_count, np.int32)
        self.touched = np.empty(terms_count, np.int32)

    def count(self, words: str) -> int:
        """See `lookup.Kernel`."""
        arrays, content = self._arrays, np.frombuffer(words.encode(), np.uint8)
        return count_terms(
            content,
            CLASSES,
            arrays.terms,
            arrays.starts,
            arrays.hashes,
            arrays.table,
            self.counts,
            self.touched,
        )

    def embed(self, touched_count: int) -> tuple[Floats, float]:
        """See `lookup.Kernel`."""
        arrays, touched = self._arrays, self.touched[:touched_count]
        return embed(touched, self.counts, arrays.idf, arrays.components, arrays.sublinear)

    def score(self, projected: Floats, length: float) -> list[float]:
        """See `lookup.Kernel`."""
        scores: list[float] = score(projected, length, *self._experts).tolist()
        return scores

    def classify(self, words: str) -> list[float]:
        """See `lookup.Kernel`."""
        return self.score(*self.embed(self.count(words)))

    def choose(self, words: str) -> Choice:
        """See `lookup.Kernel`."""
        return best_two(self.classify(words))
