"""Jobs that Slurm has: how they stand, and how to cancel them."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from er.cli import OUT_OF_TIME, TERMINATED
from er.cluster import folder, queue
from er.cluster.base import State, Status
from er.cluster.calls import call
from er.cluster.folder import Attempt
from er.errors import ErError

ENDED_BY_SLURM = ("CANCELLED", "PREEMPTED", "TIMEOUT")


def status(study: Path) -> list[Status]:
    """How the jobs of a study stand; what Slurm says of an end is noted."""
    attempts = list(folder.newest_of_study(study))
    if not attempts:
        return []
    entries = queue.read(attempts[0].intent.answer_timeout_s)
    return [status_of(attempt, entries) for attempt in attempts]


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
    if not attempts:
        return 0
    timeout_s = attempts[0].intent.answer_timeout_s
    entries = queue.read(timeout_s)
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
    intent = attempt.intent
    entry = entry_of(attempt, entries)
    if entry and not entry.alive and not attempt.ended:
        with suppress(ErError):  # on a full disk it is seen while Slurm knows it
            attempt.write("ended.json", {"state": entry.state, "reason": entry.reason})
    state, detail = state_of(attempt, entry)
    return Status(
        deployment=intent.deployment,
        title=intent.title,
        ladder=tuple(intent.ladder),
        state=state,
        detail=detail,
        job_id=attempt.job_id,
        node=entry.node if entry and entry.alive else "",
        left=entry.left if entry and state is State.running else "",
        run=attempt.run,
        log=attempt.log,
    )


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
        return State.running, "" if entry.state == "RUNNING" else entry.state.lower()
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
        case int(code):
            return State.failed, f"exit code {code}"
    if state == "CANCELLED" and not attempt.log.exists():
        unbuilt = attempt.after and attempt.after.exit_code not in (0, None)
        return State.cancelled, "its engine was not built" if unbuilt else ""
    if attempt.cancelled:  # killed before it could write an exit code
        return State.stopped, detail
    return State.lost, detail or "Slurm knows it no more"
