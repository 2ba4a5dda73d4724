"""Runs that were repeated with other seeds: one curve, and the spread between them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from er.results import repeats, tails
from er.results.point import Point
from er.tracking.query import PublishedRun
from paper_figures.looks import Look, looks_of

Value = Callable[[PublishedRun, Point], float]


@dataclass(frozen=True)
class Group:
    """One run, or several of one deployment that differ in the seed alone; how it is drawn."""

    runs: Sequence[PublishedRun]
    look: Look

    @property
    def label(self) -> str:
        """For a legend."""
        return self.look.label + (f", mean of {len(self.runs)} seeds" if self.repeated else "")

    @property
    def repeated(self) -> bool:
        """Whether there are several."""
        return len(self.runs) > 1

    @property
    def ladder(self) -> list[int]:
        """The concurrencies with a valid point, in order."""
        valid = {point.concurrency for _, point in self.points() if not point.invalid}
        return sorted(valid)

    def points(self) -> Iterator[tuple[PublishedRun, Point]]:
        """Every point, with its run."""
        return ((run, point) for run in self.runs for point in run.points)

    def predicted(self) -> Iterator[tuple[PublishedRun, Point]]:
        """Every prediction of a measured point, with its run."""
        return ((run, point) for run in self.runs for point in run.predicted)

    def valid(self) -> Iterator[tuple[PublishedRun, Point]]:
        """Every valid point, with its run."""
        return ((run, point) for run, point in self.points() if not point.invalid)


def groups_of(runs: Sequence[PublishedRun]) -> list[Group]:
    """Repeats together, in the order of their first; the same seed again is no repeat."""
    found: list[list[PublishedRun]] = []
    for run in runs:
        for group in found:
            if run.deployment == group[0].deployment and is_repeat(run, group):
                group.append(run)
                break
        else:
            found.append([run])
    firsts = [group[0] for group in found]
    return [Group(group, look) for group, look in zip(found, looks_of(firsts), strict=True)]


def hidden_by_medians(groups: Sequence[Group], quantity: str) -> str:
    """What the medians of a latency, such as `ttft_s`, hide: a sentence, or empty."""
    points = {
        group.look.name.replace("\n", " "): [point for _, point in group.valid()]
        for group in groups
    }
    found = tails.describe_hidden(points, quantity)
    return f"{found[:1].upper()}{found[1:]}." if found else ""


def is_repeat(run: PublishedRun, group: Sequence[PublishedRun]) -> bool:
    """Whether a run differs from each of a group in the seed, and in nothing else that decides."""
    if "seed" not in run.config or run.config["seed"] in {r.config["seed"] for r in group}:
        return False
    return repeats.key_of(run.config) == repeats.key_of(group[0].config)


def by_concurrency(
    points: Iterator[tuple[PublishedRun, Point]], value: Value
) -> dict[int, list[float]]:
    """The values of points at each concurrency, one for each run, in order of concurrency."""
    found: dict[int, list[float]] = {}
    for run, point in points:
        found.setdefault(point.concurrency, []).append(value(run, point))
    return dict(sorted(found.items()))


def means(
    points: Iterator[tuple[PublishedRun, Point]], value: Value
) -> tuple[list[int], list[float]]:
    """Concurrencies, and the mean over runs at each."""
    found = by_concurrency(points, value)
    return list(found), [sum(values) / len(values) for values in found.values()]
