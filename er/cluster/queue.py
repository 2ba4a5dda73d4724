"""Slurm's queue, as far as it is ours."""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass

from er.cluster.calls import call
from er.errors import ErError

ALIVE = {
    "PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING",
    "STAGE_OUT", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESIZING", "SPECIAL_EXIT",
}  # fmt: skip
WAITS = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"}
FIELDS = "%i|%T|%R|%N|%L|%k"


@dataclass(frozen=True)
class Entry:
    """A job of the queue; ended ones stay for a while (Slurm's MinJobAge)."""

    job_id: str
    state: str
    reason: str
    node: str
    left: str
    comment: str

    @property
    def alive(self) -> bool:
        """Whether it may still run."""
        return self.state in ALIVE

    @property
    def waits(self) -> bool:
        """Whether it has not begun, or has to begin again."""
        return self.state in WAITS


def user() -> str:
    """Who submits, as Slurm takes it: the number of the user."""
    return str(os.geteuid())


def read(timeout_s: float, others: Collection[str] = ()) -> list[Entry]:
    """All jobs of this user, and of `others` who submitted jobs of the same study, that Slurm still
    knows. Raises ErError when Slurm does not answer.
    """
    users = ",".join(sorted({user(), *filter(None, others)}))
    command = ["squeue", f"--user={users}", "--noheader", "--states=all", f"--format={FIELDS}"]
    rows = [line.split("|", 5) for line in call(command, timeout_s).splitlines()]
    # The parts of a job in two are 12+0 and 12+1; the first has the comment, and its id is 12.
    return [Entry(row[0].removesuffix("+0"), *row[1:]) for row in rows if len(row) == 6]


def nodes_down(names: list[str], timeout_s: float) -> list[str]:
    """Those of these nodes, in Slurm's short form, that are down or do not answer Slurm.

    One node says nothing: what failed there has ended by itself. Empty when Slurm does not tell.
    """
    command = ["sinfo", "--noheader", "--Node", f"--nodes={','.join(names)}", "--format=%N %T"]
    try:
        rows = [line.split() for line in call(command, timeout_s).splitlines()]
    except ErError:
        return []
    states = {row[0]: row[1] for row in rows if len(row) == 2}
    if len(states) < 2:
        return []
    return [name for name, state in states.items() if state.startswith("down") or "*" in state]


def find(queue: list[Entry], name: str) -> Entry | None:
    """The job of a submission, by its unique comment."""
    return _first(queue, lambda entry: entry.comment == name)


def by_id(queue: list[Entry], job_id: str, name: str) -> Entry | None:
    """The job with this id, if it is ours: a site may count anew."""
    return _first(queue, lambda entry: entry.job_id == job_id and entry.comment == name)


def _first(queue: list[Entry], fits: Callable[[Entry], bool]) -> Entry | None:
    return next((entry for entry in queue if fits(entry)), None)
