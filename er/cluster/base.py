"""What is known of a job, wherever it runs."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from er.cluster.log import last_telling_line
from er.results.point import Point
from er.results.run_dir import RunDir

PointId = tuple[int, float]


class State(Enum):
    """How a job stands."""

    unsent = "not known to be submitted"  # Slurm's answer was lost
    held_back = "held back"  # Slurm took no more jobs
    queued = "queued"
    running = "running"
    finished = "finished"
    stopped = "stopped"  # by TERM: time limit, preemption, scancel
    out_of_time = "out of time"  # it stopped itself before a point that would not have fitted
    cancelled = "cancelled"  # before it began
    failed = "failed"
    lost = "lost"  # its node or its processes ended without a word
    unknown = "unknown"  # Slurm does not answer, and on disk there is no end of it

    @property
    def active(self) -> bool:
        """Whether it may still measure something."""
        return self in (State.queued, State.running)

    @property
    def waits_for_room(self) -> bool:
        """Whether it is still to be submitted."""
        return self is State.held_back


@dataclass(frozen=True)
class Status:
    """A job as it stands."""

    deployment: str
    title: str
    ladder: tuple[int, ...]  # empty where the job searches for concurrencies itself
    state: State
    detail: str = ""  # why it waits, or how it ended
    job_id: str = ""
    node: str = ""
    left: str = ""  # of its time, as Slurm writes it
    run: RunDir | None = None
    log: Path | None = None
    before: frozenset[PointId] = frozenset()  # points that were there when the job began

    @property
    def points(self) -> list[Point]:
        """The points of its run that it asks for, measured by it or before it."""
        found = self.run.points() if self.run else []
        return [point for point in found if not self.ladder or point.concurrency in self.ladder]

    @property
    def invalid(self) -> list[Point]:
        """Those of them that are not to be believed."""
        return [point for point in self.points if point.invalid]

    @property
    def own_points(self) -> list[Point]:
        """The points that this job itself measured."""
        return [point for point in self.points if id_of(point) not in self.before]

    def last_line(self) -> str:
        """The last line of the log that tells something; empty without one."""
        return last_telling_line(self.log) if self.log else ""


def id_of(point: Point) -> PointId:
    """What tells a point from the same concurrency measured at another time."""
    return point.concurrency, point.duration_s
