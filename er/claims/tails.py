"""What to know of a verdict on medians: how long the requests wait that a median hides."""

from collections.abc import Mapping, Sequence

from er.claims.comparisons import Comparison
from er.claims.statements import Claim, name_of
from er.results import tails
from er.tracking.query import PublishedRun

MEDIAN = ".p50"


def caution_of(
    claim: Claim, runs: Mapping[str, Sequence[PublishedRun]], compared: Sequence[Comparison]
) -> str:
    """Long tails, and lengths that differ, at the points that were compared; empty without any,
    and for claims of other quantities than medians."""
    if not claim.quantity.endswith(MEDIAN):
        return ""
    at = {comparison.concurrency for comparison in compared}
    points = {
        name_of(name): [
            point
            for run in runs[name]
            for point in run.points
            if point.concurrency in at and not point.invalid
        ]
        for name in claim.deployments
        if name in runs
    }
    return tails.describe_hidden(points, claim.quantity.removesuffix(MEDIAN))
