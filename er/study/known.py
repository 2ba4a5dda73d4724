"""What of a job is on disk already, and need not be measured again."""

from er.config import ClockKind, Config
from er.load import knee
from er.results import names
from er.results.point import Point
from er.results.run_dir import RunDir
from er.results.words import count_of


class MissingPointError(Exception):
    """A point that the ladder needs is missing, or is to be made again."""


def points(config: Config, run: RunDir) -> list[Point]:
    """The points of the ladder that the run has and that are not made again."""
    if not run.has(names.POINTS):
        return []
    wanted = set(config.load.concurrency)
    return [p for p in run.points() if p.concurrency in wanted and _stays(config, p)]


def describe_lost(config: Config, run: RunDir) -> list[str]:
    """One line for each point whose requests are not beside it, as in a bundle without them.

    Raises ErError when a file of requests is damaged.
    """
    if config.capacity:  # a search keeps none
        return []
    lost = [p.concurrency for p in points(config, run) if not run.has_requests(p.concurrency)]
    return [
        f"{run.path}: the requests of {count_of(concurrency, 'user')} are missing: figures of "
        "single requests lack them; put the file back, or measure again with resume=false"
        for concurrency in lost
    ]


def invalid_points(config: Config, run: RunDir) -> list[Point]:
    """The points of the ladder that a command with resume=true measures again, since they are not
    to be believed."""
    wanted = set(config.load.concurrency)
    return [p for p in run.points() if p.concurrency in wanted and not _stays(config, p)]


def _stays(config: Config, point: Point) -> bool:
    """A valid point is not measured again; one of the virtual clock would come out the same."""
    return config.clock.kind is ClockKind.virtual or not point.invalid


def complete(config: Config, run: RunDir) -> bool:
    """Whether nothing that the job asks for is missing."""
    if run.status() != "finished":
        return False
    if config.capacity:
        return run.has(names.CAPACITY)
    try:
        walk(config, run)
    except MissingPointError:
        return False
    real = config.clock.kind is ClockKind.real
    probed = real and config.deployment.routed and config.load.gateway_probes > 0
    return not probed or run.has(names.GATEWAY_COST)


def walk(config: Config, run: RunDir) -> tuple[list[int], knee.Knee | None]:
    """The concurrencies that the job walks over, in order, and the knee that it finds there.

    Raises MissingPointError where the run lacks one of them.
    """
    there = {point.concurrency: point for point in points(config, run)}
    walked: list[int] = []

    def point_at(concurrency: int) -> Point:
        if concurrency not in there:
            raise MissingPointError
        walked.append(concurrency)
        return there[concurrency]

    found = knee.walk(config.load, point_at)
    return sorted(walked), found
