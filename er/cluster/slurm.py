"""Jobs that Slurm has: how they stand, and how to cancel them."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from er.cli import OUT_OF_TIME, TERMINATED
from er.cluster import folder, queue
from er.cluster.base import State, Status
from er.cluster.calls import NoAnswerError, call
from er.cluster.folder import Attempt
from er.errors import ErError

FAILED = 1  # the exit code
ENDED_BY_SLURM = ("CANCELLED", "PREEMPTED", "TIMEOUT")


@dataclass(frozen=True)
class Jobs:
    """The jobs of a study; where Slurm did not answer, as far as the disk knows them."""

    found: list[Status]
    silence: ErError | None = None  # why Slurm did not answer
    attempts: Sequence[Attempt] = ()  # their submissions, in the same order

    @property
    def may_change(self) -> bool:
        """Whether it is worth looking again: not where there is no Slurm to ask."""
        if self.silence and not isinstance(self.silence, NoAnswerError):
            return False
        return any(one.state.active or one.state is State.unknown for one in self.found)

    def describe_silence(self) -> str:
        """One line that says what the states are worth."""
        return f"Slurm does not answer; this is what is on disk ({self.silence})"


def read(study: Path) -> Jobs:
    """How the jobs of a study stand; what Slurm says of an end is noted.

    Slurm is not asked where the end of every job is on disk.
    """
    attempts = builds_first(list(folder.newest_of_study(study)))
    entries: list[queue.Entry] = []
    silence = None
    open_ones = [attempt for attempt in attempts if not attempt.at_rest]
    if open_ones:
        try:
            users = {attempt.intent.user for attempt in open_ones}
            entries = queue.read(open_ones[0].intent.answer_timeout_s, users)
        except ErError as error:
            silence = error
    find = status_on_disk if silence else status_of
    return Jobs([find(attempt, entries) for attempt in attempts], silence, attempts)


def builds_first(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The same submissions, each build directly before the first job that waits for it."""
    by_place = {attempt.path.parent: attempt for attempt in attempts}
    ordered: dict[Path, Attempt] = {}
    awaited = {after.path.parent for attempt in attempts if (after := attempt.after)}
    for attempt in attempts:
        if attempt.path.parent in awaited:
            continue
        after = attempt.after
        if after and after.path.parent in by_place:
            ordered.setdefault(after.path.parent, by_place[after.path.parent])
        ordered[attempt.path.parent] = attempt
    return list(ordered.values())


def cancel(study: Path, say: Callable[[str], None], at_once: bool = False) -> int:
    """Cancel the jobs of a study that are queued or running, by their ids; how many. Those that
    are held back are not submitted any more.

    Unless `at_once`, a running job gets TERM for its script alone: then er in it lets the requests
    in flight end. Plain `scancel` sends TERM to the servers too.
    """
    attempts = list(folder.newest_of_study(study))
    waiting = [attempt for attempt in attempts if attempt.held_back]
    for attempt in waiting:
        attempt.withdraw("cancelled")
        say(f"not submitting {attempt.intent.title}")
    if all(attempt.at_rest for attempt in attempts):
        return len(waiting)
    timeout_s = attempts[0].intent.answer_timeout_s
    entries = queue.read(timeout_s, {attempt.intent.user for attempt in attempts})
    alive = [
        (attempt, entry)
        for attempt in attempts
        if (entry := entry_of(attempt, entries)) and entry.alive
    ]
    ending: list[str] = []
    removed: list[str] = []
    for attempt, entry in alive:
        gently = entry.state == "RUNNING" and not at_once
        (ending if gently else removed).append(entry.job_id)
        attempt.note_cancelled()
        say(f"cancelling {attempt.intent.title}: job {entry.job_id}")
    if ending:
        call(["scancel", "--batch", "--signal=TERM", *ending], timeout_s)
    if removed:
        call(["scancel", *removed], timeout_s)
    return len(alive) + len(waiting)


def status_of(attempt: Attempt, entries: list[queue.Entry]) -> Status:
    """How a job stands: by Slurm while that knows it, else by what it left on disk."""
    entry = entry_of(attempt, entries)
    if not attempt.ended and not attempt.at_rest:
        note_end(attempt, entry, entries)
    state, detail = state_of(attempt, entry)
    found = described(attempt, state, detail)
    node = entry.node if entry and entry.alive else ""
    left = entry.left if entry and state is State.running else ""
    return replace(found, node=node, left=left)


def status_on_disk(attempt: Attempt, _: object = None) -> Status:
    """How a job stands as far as that is known without Slurm."""
    if attempt.at_rest or attempt.exit_code is not None or not attempt.job_id:
        return described(attempt, *state_of(attempt, None))
    last = "it had begun" if attempt.log.exists() else "it was submitted"
    return described(attempt, State.unknown, last)


def described(attempt: Attempt, state: State, detail: str) -> Status:
    """A job in this state, with what is on disk of it."""
    intent = attempt.intent
    return Status(
        deployment=intent.deployment,
        title=intent.title,
        ladder=() if intent.searches else tuple(intent.ladder),
        state=state,
        detail=detail,
        job_id=attempt.job_id,
        run=attempt.run,
        log=attempt.log,
        before=attempt.points_before,
    )


def note_end(attempt: Attempt, entry: queue.Entry | None, entries: list[queue.Entry]) -> None:
    """Keep what Slurm says of the end of a job, which it forgets after a while."""
    if entry and entry.alive:
        return
    noted = {"state": entry.state, "reason": entry.reason} if entry else {"state": "", "reason": ""}
    if not entry and attempt.exit_code is None:  # another site's Slurm may be the one asked
        return
    if entry and attempt.exit_code == FAILED and not attempt.lost_nodes:
        parts = [one.node for one in entries if one.job_id in (entry.job_id, f"{entry.job_id}+1")]
        noted["lost_nodes"] = " ".join(queue.nodes_down(parts, attempt.intent.answer_timeout_s))
    with suppress(ErError):  # on a full disk it is seen while Slurm knows it
        attempt.write("ended.json", noted)


def entry_of(attempt: Attempt, entries: list[queue.Entry]) -> queue.Entry | None:
    """The job in Slurm's queue; an id that was lost is noted when it is found."""
    name, job_id = attempt.intent.name, attempt.job_id
    if job_id:
        return queue.by_id(entries, job_id, name)
    found = queue.find(entries, name)
    if found:
        attempt.note_receipt(found.job_id)
    return found


def state_of(attempt: Attempt, entry: queue.Entry | None) -> tuple[State, str]:
    """The state, and why it waits or how it ended."""
    if entry and entry.alive:
        if entry.waits:
            return State.queued, entry.reason.strip("()")
        if entry.state != "RUNNING":
            return State.running, entry.state.lower()
        return State.running, "cancelling" if attempt.cancelled else ""
    if not attempt.job_id and not attempt.log.exists():
        return (State.held_back, "no room") if attempt.held_back else (State.unsent, "")
    state = attempt.ended.get("state", "") or (entry.state if entry else "")
    detail = state.lower().replace("_", " ")
    if state == "NODE_FAIL" and attempt.exit_code:  # another of its nodes: the first gets TERM
        return State.lost, detail
    if attempt.cancelled:
        detail = "cancelled"
    match attempt.exit_code:
        case 0:
            return State.finished, ""
        case code if code == OUT_OF_TIME:
            return State.out_of_time, ""
        case code if code == TERMINATED:
            return State.stopped, detail if state != "FAILED" or attempt.cancelled else ""
        case int() if state in ENDED_BY_SLURM:  # its servers got TERM too, and er saw them go
            return State.stopped, detail
        case code if code == FAILED and attempt.lost_nodes:
            return State.lost, f"no answer from {' and '.join(attempt.lost_nodes)}"
        case int(code):
            return State.failed, f"exit code {code}"
    if state == "CANCELLED" and not attempt.log.exists():
        unbuilt = attempt.after and attempt.after.exit_code not in (0, None)
        return State.cancelled, "its engine was not built" if unbuilt else ""
    if attempt.cancelled or state in ENDED_BY_SLURM:  # killed before it could write an exit code
        return State.stopped, detail
    return State.lost, detail or "Slurm knows it no more"
