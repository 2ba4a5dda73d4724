"""Who answers a prompt: the trained router, or a baseline that does not read it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from er.config import Policy
from er.errors import ErError
from er.routing.policies import baseline

NO_MARGIN = float("inf")

# Cluster, margin over the second best, second best.
Choice = tuple[int, float, int]


class Chooser(Protocol):
    """Chooses a cluster for a text; `loads` are the requests in flight at each cluster."""

    clusters: int
    digest: str  # of the router; empty without one
    reads_loads: bool  # whether `choose` needs the loads

    def choose(self, text: str, loads: Sequence[float]) -> Choice:
        """The cluster, the margin and the second best (itself when there is no other)."""


class Baseline:
    """One of the policies that do not read the prompt."""

    digest = ""

    def __init__(
        self, policy: Policy, clusters: int, seed: int = 0, shares: Sequence[float] = ()
    ) -> None:
        self.clusters = clusters
        self.reads_loads = policy is Policy.least_loaded
        self._choose: Callable[[str, Sequence[float]], int] = baseline(  # type: ignore[assignment]
            policy, clusters, seed, shares
        )

    def choose(self, text: str, loads: Sequence[float]) -> Choice:
        """The cluster; it knows no second best."""
        chosen = self._choose(text, loads)
        return chosen, NO_MARGIN, chosen


class Trained:
    """The k-means router of a file."""

    reads_loads = False

    def __init__(self, path: Path) -> None:
        from er.routing import router  # numba: half a second, which baselines do not need

        self.router = router.load(path)
        self.clusters = self.router.experts
        self.digest = file_digest(path)
        self.choose("compile now, not at the first prompt", ())

    def choose(self, text: str, _: Sequence[float]) -> Choice:
        """The cluster of the highest score, the first of equals."""
        return best_two(self.router.scores(text).tolist())


def best_two(scores: list[float]) -> Choice:
    """The place of the highest score, the first of equals; its margin; the second's place."""
    highest = max(scores)
    chosen = scores.index(highest)
    scores[chosen] = float("-inf")
    second = max(scores)
    if second == float("-inf"):
        return chosen, NO_MARGIN, chosen
    return chosen, highest - second, scores.index(second)


def chooser(
    policy: Policy, router: Path | None, clusters: int, seed: int = 0, shares: Sequence[float] = ()
) -> Chooser:
    """The policy for so many clusters.

    Raises ErError when the router is damaged or chooses between another number of them.
    """
    if policy is not Policy.kmeans or router is None:
        return Baseline(policy, clusters, seed, shares)
    trained = Trained(router)
    if trained.clusters != clusters:
        raise ErError(
            f"{router} chooses between {trained.clusters} experts, {clusters} are given: "
            "give an address for each"
        )
    return trained


def file_digest(path: Path) -> str:
    """The start of the SHA-256 of a file, in hexadecimal digits."""
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
