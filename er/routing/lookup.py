"""From a text to its vector and its scores: bytes for ASCII, a regular expression for the rest."""

import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from er.routing import native
from er.routing.arrays import Floats, Ints, TermArrays, joined, slots
from er.routing.choice import Choice

WORD = re.compile(r"\b\w\w+\b")


class Kernel(Protocol):
    """The compiled part; not for two threads at a time."""

    counts: Ints  # (v,) by row, zero between calls
    touched: Ints  # (v,) rows that `count` has found, in the order of first occurrence

    def count(self, words: str) -> int:
        """Count the known terms among words into `counts`; how many rows of `touched` there are."""

    def embed(self, touched_count: int) -> tuple[Floats, float]:
        """The projected tf-idf vector (d,), not scaled, and its length; clears `counts`."""

    def score(self, projected: Floats, length: float) -> list[float]:
        """One score per expert."""

    def classify(self, words: str) -> list[float]:
        """All three: one score per expert."""

    def choose(self, words: str) -> Choice:
        """The same, and the best two of the scores."""


def term_arrays(
    terms: Sequence[str], idf: Floats, components: NDArray[np.float32], sublinear_tf: bool
) -> TermArrays:
    """Terms, weights and components with the table by which terms are found."""
    content, starts = joined(terms)
    if library := native.library():
        table = native.hash_table(library, content, starts)
    else:
        from er.routing import kernel

        table = kernel.hash_table(content, starts, slots(len(starts) - 1))
    return TermArrays(
        content,
        starts,
        np.ascontiguousarray(idf, np.float64),
        np.ascontiguousarray(components, np.float32),
        sublinear_tf,
        *table,
    )


class Lookup:
    """The terms of a router with their weights and components, and its experts.

    Stop words and numbers are not among the terms, so looking a word up leaves them out. Not for
    two threads at a time: the counts are kept between calls.
    """

    def __init__(self, arrays: TermArrays, centres: Floats, offsets: Floats) -> None:
        experts = np.ascontiguousarray(centres, np.float64), np.ascontiguousarray(offsets)
        self._kernel: Kernel
        if library := native.library():
            self._kernel = native.Kernel(library, arrays, *experts)
        else:
            from er.routing import kernel  # numba: half a second and 100 MB

            self._kernel = kernel.Kernel(arrays, *experts)
        self.classify("compile now, not at the first prompt")

    def classify(self, text: str) -> list[float]:
        """One score per expert."""
        return self._kernel.classify(_words(text))

    def choose(self, text: str) -> Choice:
        """The expert of the highest score, the first of equals, its margin, and the second."""
        return self._kernel.choose(text if text.isascii() else _words(text))

    def embed(self, text: str) -> tuple[Floats, float]:
        """The projected tf-idf vector of a text, not scaled, and its length; zero without terms."""
        return self._kernel.embed(self._kernel.count(_words(text)))

    def rows(self, text: str) -> tuple[Ints, Ints]:
        """Rows of the terms in a text, in the order they first occur, and how often they do."""
        rows = self._kernel.touched[: self._kernel.count(_words(text))].copy()
        counts = self._kernel.counts[rows]
        self._kernel.counts[rows] = 0
        return rows, counts

    def score_rows(self, rows: Ints, counts: Ints) -> list[float]:
        """One score per expert for a text of which these are the rows and counts."""
        self._kernel.touched[: len(rows)] = rows
        self._kernel.counts[rows] = counts
        return self._kernel.score(*self._kernel.embed(len(rows)))


def _words(text: str) -> str:
    """A text's words, with anything between them that a kernel knows to be none.

    A kernel takes ASCII letters in either case, digits, `_` and what is not ASCII for parts of
    words.
    """
    return text if text.isascii() else " ".join(WORD.findall(text.lower()))
