"""What is known of a job, wherever it runs."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from er.results.run_dir import RunDir


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
    ladder: tuple[int, ...]
    state: State
    detail: str = ""  # why it waits, or how it ended
    job_id: str = ""
    node: str = ""
    left: str = ""  # of its time, as Slurm writes it
    run: RunDir | None = None
    log: Path | None = None

    @property
    def reached(self) -> list[int]:
        """Concurrencies of the ladder that have a point."""
        if not self.run:
            return []
        return [p.concurrency for p in self.run.points() if p.concurrency in self.ladder]

    def last_line(self) -> str:
        """The last line of the log; empty without one."""
        if not self.log or not self.log.exists():
            return ""
        lines = self.log.read_text(errors="replace").rstrip().splitlines()
        return lines[-1] if lines else ""
