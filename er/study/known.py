"""What of a job is on disk already, and need not be measured again."""

from er.config import ClockKind, Config
from er.load import knee
from er.results import names
from er.results.point import Point
from er.results.run_dir import RunDir


class MissingPointError(Exception):
    """A point that the ladder needs is missing or invalid."""


def points(config: Config, run: RunDir) -> list[Point]:
    """The valid points of the ladder that the run has."""
    if not run.has(names.POINTS):
        return []
    wanted = set(config.load.concurrency)
    return [p for p in run.points() if p.concurrency in wanted and not p.invalid]


def complete(config: Config, run: RunDir) -> bool:
    """Whether nothing that the job asks for is missing."""
    if run.status() != "finished":
        return False
    if config.capacity:
        return run.has(names.CAPACITY)

    def point_at(concurrency: int) -> Point:
        point = run.valid_point(concurrency)
        if not point:
            raise MissingPointError
        return point

    try:
        knee.walk(config.load, point_at)
    except MissingPointError:
        return False
    real = config.clock.kind is ClockKind.real
    probed = real and config.deployment.routed and config.load.gateway_probes > 0
    return not probed or run.has(names.GATEWAY_COST)
