"""Which expert a prompt belongs to.

A prompt becomes a tf-idf vector, is projected on the router's components, scaled to length one and
given to the expert of the nearest centre.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from er.routing import artefact

WORD = re.compile(r"\b\w\w+\b")


@dataclass(frozen=True)
class Router:
    """A trained classifier for `k` experts over `v` terms and `d` components."""

    terms: list[str]  # v of them
    idf: NDArray[np.float64]  # (v,)
    components: NDArray[np.float32]  # (v, d)
    centres: NDArray[np.float64]  # (k, d)
    metadata: dict[str, Any]  # what it was trained from
    index: dict[str, int] = field(init=False, repr=False)  # row of each term

    def __post_init__(self) -> None:
        index = {term: row for row, term in enumerate(self.terms)}
        object.__setattr__(self, "index", index)

    @property
    def experts(self) -> int:
        """How many experts it chooses from."""
        return len(self.centres)

    def embed(self, text: str) -> NDArray[np.float64]:
        """The prompt's vector, of length one; zeros when no term is known."""
        # Stop words and numbers are not among the terms, so looking up leaves them out.
        words = Counter(self.index.get(word, -1) for word in WORD.findall(text.lower()))
        words.pop(-1, None)
        rows = np.fromiter(words.keys(), np.intp, len(words))
        weights = np.fromiter(words.values(), np.float64, len(words)) * self.idf[rows]
        projected: NDArray[np.float64] = weights @ self.components[rows]
        length = float(np.linalg.norm(projected))
        return projected / length if length else projected

    def scores(self, text: str) -> NDArray[np.float64]:
        """One score per expert; the highest has the nearest centre."""
        halved: NDArray[np.float64] = (self.centres**2).sum(axis=1) / 2
        return self.centres @ self.embed(text) - halved

    def classify(self, text: str) -> int:
        """The expert for a prompt."""
        return int(np.argmax(self.scores(text)))


def load(path: Path) -> Router:
    """Read a router from its file. Raises ErError when it is not an intact router."""
    arrays, metadata = artefact.read(path)
    return Router(
        terms=bytes(arrays["terms"]).decode().split("\n"),
        idf=arrays["idf"],
        components=arrays["components"],
        centres=arrays["centres"],
        metadata=metadata,
    )


def save(router: Router, path: Path) -> None:
    """Write a router to a file."""
    arrays: artefact.Arrays = {
        "terms": np.frombuffer("\n".join(router.terms).encode(), np.uint8),
        "idf": router.idf,
        "components": router.components,
        "centres": router.centres,
    }
    artefact.write(path, arrays, router.metadata)
