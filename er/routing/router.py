"""Which expert a prompt belongs to, and why.

A prompt becomes a tf-idf vector, is projected on the router's components and scaled to length one.
An expert's score is that vector times the expert's centre, less half the centre's square, less the
expert's price; without prices the highest score belongs to the nearest centre.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from er.routing import artefact
from er.routing.arrays import TermArrays, Terms
from er.routing.lookup import Lookup, term_arrays

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Router:
    """A trained classifier for `k` experts over `v` terms and `d` components."""

    terms: Sequence[str]  # v of them
    idf: Floats  # (v,)
    components: NDArray[np.float32]  # (v, d)
    centres: Floats  # (k, d)
    prices: Floats  # (k,)
    sublinear_tf: bool  # a term counts 1 + ln(count) in place of its count
    metadata: dict[str, Any]  # what it was trained from
    arrays: TermArrays | None = field(default=None, repr=False, compare=False)  # where known
    lookup: Lookup = field(init=False, repr=False, compare=False)
    offsets: Floats = field(init=False, repr=False, compare=False)  # (k,)

    def __post_init__(self) -> None:
        offsets = (self.centres**2).sum(axis=1) / 2 + self.prices
        arrays = self.arrays or term_arrays(
            self.terms, self.idf, self.components, self.sublinear_tf
        )
        object.__setattr__(self, "arrays", arrays)
        object.__setattr__(self, "offsets", offsets)
        object.__setattr__(self, "lookup", Lookup(arrays, self.centres, offsets))

    @property
    def experts(self) -> int:
        """How many experts it chooses from."""
        return len(self.centres)

    def scores(self, text: str) -> Floats:
        """One score per expert."""
        return np.array(self.lookup.classify(text))

    def classify(self, text: str) -> int:
        """The expert for a prompt: the highest score, the first of equals."""
        return int(self.scores(text).argmax())


def load(path: Path) -> Router:
    """Read a router from its file. Raises ErError when it is not an intact router."""
    arrays, metadata = artefact.read(path)
    return Router(
        terms=Terms(bytes(arrays["terms"])),
        idf=arrays["idf"],
        components=arrays["components"],
        centres=arrays["centres"],
        prices=arrays["prices"],
        sublinear_tf=bool(arrays["sublinear_tf"]),
        metadata=metadata,
    )


def save(router: Router, path: Path) -> None:
    """Write a router to a file."""
    arrays: artefact.Arrays = {
        "terms": np.frombuffer("\n".join(router.terms).encode(), np.uint8),
        "idf": router.idf,
        "components": router.components,
        "centres": router.centres,
        "prices": router.prices,
        "sublinear_tf": np.array(router.sublinear_tf),
    }
    artefact.write(path, arrays, router.metadata)
