"""What of a job is on disk already, and need not be measured again."""

from er.config import ClockKind, Config
from er.load import knee
from er.results import names
from er.results.point import Point
from er.results.run_dir import RunDir


class MissingPointError(Exception):
    """A point that the ladder needs is missing, or is to be made again."""


def points(config: Config, run: RunDir) -> list[Point]:
    """The points of the ladder that the run has and that are not made again."""
    if not run.has(names.POINTS):
        return []
    wanted = set(config.load.concurrency)
    return [p for p in run.points() if p.concurrency in wanted and _stays(config, p)]


def _stays(config: Config, point: Point) -> bool:
    """A valid point is not measured again; one of the virtual clock would come out the same."""
    return config.clock.kind is ClockKind.virtual or not point.invalid


def complete(config: Config, run: RunDir) -> bool:
    """Whether nothing that the job asks for is missing."""
    if run.status() != "finished":
        return False
    if config.capacity:
        return run.has(names.CAPACITY)

    there = {point.concurrency: point for point in points(config, run)}

    def point_at(concurrency: int) -> Point:
        if concurrency not in there:
            raise MissingPointError
        return there[concurrency]

    try:
        knee.walk(config.load, point_at)
    except MissingPointError:
        return False
    real = config.clock.kind is ClockKind.real
    probed = real and config.deployment.routed and config.load.gateway_probes > 0
    return not probed or run.has(names.GATEWAY_COST)
