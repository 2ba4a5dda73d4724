"""Who answers a prompt by the trained router. All that it needs is loaded with it: a module that is
read from disk when it is needed first would hold every stream up.
"""

from collections.abc import Sequence
from pathlib import Path

from er.gateway import reasons, slices
from er.routing import artefact, mapped, router
from er.routing.choice import Choice, best_two


class Trained:
    """The k-means router of a file with this digest."""

    reads_loads = False

    def __init__(self, found: router.Router, digest: str) -> None:
        self.router, self.digest = found, digest
        self.clusters = found.experts
        self._lookup = found.lookup
        self.choose("compile now, not at the first prompt", ())

    def choose(self, text: str, _: Sequence[float]) -> Choice:
        """The cluster of the highest score, the first of equals."""
        return self._lookup.choose(text)

    async def choose_long(self, text: str, _: Sequence[float]) -> Choice:
        """The same, while others' answers go on."""
        return best_two(await slices.scores(self.router, text))

    async def explain(self, text: str, _: Sequence[float]) -> tuple[Choice, bytes]:
        """Terms with their parts of the margin, the largest first."""
        rows, counts = await slices.count(self.router, text)
        choice = best_two(self.router.lookup.score_rows(rows, counts))
        return choice, await reasons.reason(self.router, rows, counts, choice)


def load(path: Path) -> Trained:
    """The router of a file. Raises ErError when it is damaged."""
    return Trained(router.load(path), artefact.file_digest(path))


def load_mapped(descriptor: int) -> Trained:
    """The router that another process has written to an open file (`er.routing.mapped`)."""
    return Trained(*mapped.load(descriptor))
