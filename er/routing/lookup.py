"""From a text to its vector: compiled over bytes for ASCII, by regular expression for the rest."""

import re
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from er.routing import kernel

WORD = re.compile(r"\b\w\w+\b")
CLASSES = kernel.word_classes()

score = kernel.score


class Lookup:
    """The terms of a router with their weights and components.

    Stop words and numbers are not among the terms, so looking a word up leaves them out. Not for
    two threads at a time: the counts are kept between calls.
    """

    def __init__(
        self,
        terms: list[str],
        idf: NDArray[np.float64],
        components: NDArray[np.float32],
        sublinear_tf: bool,
    ) -> None:
        encoded = [term.encode() for term in terms]
        self._row = {term: row for row, term in enumerate(terms)}
        self._weighting = (
            np.ascontiguousarray(idf, np.float64),
            np.ascontiguousarray(components, np.float32),
            sublinear_tf,
        )
        self._terms = np.frombuffer(b"".join(encoded), np.uint8)
        self._starts = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
        slots = 1 << (2 * len(terms)).bit_length()
        self._hashes, self._table = kernel.hash_table(self._terms, self._starts, slots)
        self._counts = np.zeros(len(terms), np.int32)
        self._touched = np.empty(len(terms), np.int32)
        self.embed("compile now, not at the first prompt")

    def embed(self, text: str) -> tuple[NDArray[np.float64], float]:
        """The projected tf-idf vector of a text, not scaled, and its length; zero without terms."""
        return kernel.embed(self._count(text), self._counts, *self._weighting)

    def rows(self, text: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Rows of the terms in a text, in the order they first occur, and how often they do."""
        rows = self._count(text).copy()
        counts = self._counts[rows]
        self._counts[rows] = 0
        return rows, counts

    def _count(self, text: str) -> NDArray[np.int32]:
        """Count the terms of a text into `_counts`; the rows that were touched."""
        touched_count = self._count_ascii(text) if text.isascii() else self._count_any(text)
        return self._touched[:touched_count]

    def _count_ascii(self, text: str) -> int:
        return kernel.count_terms(
            np.frombuffer(text.encode(), np.uint8),
            CLASSES,
            self._terms,
            self._starts,
            self._hashes,
            self._table,
            self._counts,
            self._touched,
        )

    def _count_any(self, text: str) -> int:
        touched_count = 0
        for word, count in Counter(WORD.findall(text.lower())).items():
            row = self._row.get(word)
            if row is not None:
                self._touched[touched_count] = row
                self._counts[row] = count
                touched_count += 1
        return touched_count
