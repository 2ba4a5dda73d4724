"""How runs that differ in their batch limit are told apart: by colours of no deployment."""

from collections.abc import Sequence
from dataclasses import replace

from er.tracking.query import PublishedRun
from paper_figures.looks import MARKERS, OTHERS, TABLE_1, Look
from paper_figures.repeats import Group, groups_of


def by_limit(
    runs: Sequence[PublishedRun], limits: Sequence[int], *, name_precision: bool = False
) -> list[Group]:
    """Groups in the order of their limits: colour and marker are of the place of the limit among
    `limits`, dashes are FP16 where the precision is named."""
    return [
        replace(group, look=_look(group, limits, name_precision))
        for group in groups_of(sorted(runs, key=limit_of))
    ]


def _look(group: Group, limits: Sequence[int], name_precision: bool) -> Look:
    run = group.runs[0]
    place, precision = limits.index(limit_of(run)), run.config["deployment"]["precision"]
    named = f"{precision}, " if name_precision else ""
    return replace(
        group.look,
        colour=OTHERS[place % len(OTHERS)],
        marker=MARKERS[(len(TABLE_1) + place) % len(MARKERS)],
        dashes=(4, 1.5) if name_precision and precision == "fp16" else (),
        label=f"{named}at most {limit_of(run)} in a batch",
    )


def limits_of(runs: Sequence[PublishedRun]) -> list[int]:
    """The limits that there are, in order."""
    return sorted({limit_of(run) for run in runs})


def describe_unreached(runs: Sequence[PublishedRun]) -> str:
    """A sentence where no limit can matter since fewer users are in flight; empty where one may."""
    least = min(limits_of(runs))
    most = max((point.concurrency for run in runs for point in run.points), default=0)
    if most > least:
        return ""
    return f"Up to {most:,} users fill no batch of {least:,}: here limits differ by chance alone."


def limit_of(run: PublishedRun) -> int:
    """Requests in a batch, at most."""
    return int(run.config["engine"]["max_batch_size"])
