"""Who answers a prompt: the trained router, or a baseline that does not read it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from er.config import Policy
from er.errors import ErError
from er.routing.choice import NO_MARGIN, Choice
from er.routing.policies import baseline

if TYPE_CHECKING:
    from er.gateway.trained import Trained


class Chooser(Protocol):
    """Chooses a cluster for a text; `loads` are the requests in flight at each cluster."""

    clusters: int
    digest: str  # of the router; empty without one
    reads_loads: bool  # whether `choose` needs the loads

    def choose(self, text: str, loads: Sequence[float]) -> Choice:
        """The cluster, the margin and the second best (itself when there is no other)."""

    async def choose_long(self, text: str, loads: Sequence[float]) -> Choice:
        """The same for a long text, a slice at a time."""

    async def explain(self, text: str, loads: Sequence[float]) -> tuple[Choice, bytes]:
        """The same, and the terms that decided, as the value of a header."""


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

    async def choose_long(self, text: str, loads: Sequence[float]) -> Choice:
        """The same: the text is not read."""
        return self.choose(text, loads)

    async def explain(self, text: str, loads: Sequence[float]) -> tuple[Choice, bytes]:
        """The same, without a reason."""
        return self.choose(text, loads), b""


def chooser(
    policy: Policy, router: Path | None, clusters: int, seed: int = 0, shares: Sequence[float] = ()
) -> Chooser:
    """The policy for so many clusters.

    Raises ErError when the router is damaged or chooses between another number of them.
    """
    if policy is not Policy.kmeans or router is None:
        return Baseline(policy, clusters, seed, shares)
    from er.gateway import trained  # numpy, which baselines do not need

    return require_clusters(trained.load(router), router, clusters)


def require_clusters(found: "Trained", path: Path, clusters: int) -> "Trained":
    """Raise ErError when the router in `path` chooses between another number of clusters."""
    if found.clusters != clusters:
        raise ErError(
            f"{path} chooses between {found.clusters} experts, {clusters} are given: "
            "give an address for each"
        )
    return found
