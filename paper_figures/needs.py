"""What a figure needs of each run that it shows, by the names in its module's NEEDS."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from er.errors import ConfigError
from er.results import names

if TYPE_CHECKING:
    from er.tracking.query import PublishedRun

Has = Callable[["PublishedRun"], bool]


def _deployment(run: "PublishedRun", name: str) -> int:
    return int(run.config.get("deployment", {}).get(name, 0))


NEEDS: dict[str, tuple[Has, str]] = {
    "points": (lambda run: bool(run.points), "has no points"),
    "deployment": (lambda run: "deployment" in run.config, "is of no deployment of er"),
    "experts": (lambda run: _deployment(run, "experts") > 1, "has one expert, and no choice"),
    "tensor parallelism": (
        lambda run: _deployment(run, "tp") in (4, 8) and _deployment(run, "experts") == 1,
        "is not one engine with TP=4 or TP=8",
    ),
    "requests": (
        lambda run: any((run.files / names.REQUESTS).glob("*.parquet")),
        "has no requests beside it",
    ),
    "search": (lambda run: bool(run.capacity), "is no search for capacity"),
}


def require(figure: str, needs: Sequence[str], runs: Sequence["PublishedRun"]) -> None:
    """Raise ConfigError for the first run that the figure cannot show."""
    for run in runs:
        for need in needs:
            has, lacks = NEEDS[need]
            if not has(run):
                raise ConfigError(
                    f"{figure} cannot show run {run.id[:8]}, {run.deployment} of study "
                    f"{run.study}: it {lacks}; name others with runs=... or study=..."
                )
