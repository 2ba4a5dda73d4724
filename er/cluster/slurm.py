"""Jobs that Slurm has: how they stand, and how to cancel them."""

from collections.abc import Callable
from pathlib import Path

from er.cli import OUT_OF_TIME, TERMINATED
from er.cluster import folder, queue
from er.cluster.base import State, Status
from er.cluster.calls import call
from er.cluster.folder import Attempt


def status(study: Path) -> list[Status]:
    """How the jobs of a study stand; what Slurm says of an end is noted."""
    attempts = list(folder.newest_of_study(study))
    if not attempts:
        return []
    entries = queue.read(attempts[0].intent.answer_timeout_s)
    return [status_of(attempt, entries) for attempt in attempts]


def cancel(study: Path, say: Callable[[str], None]) -> int:
    """Cancel the jobs of a study that are queued or running, by their ids; how many."""
    attempts = list(folder.newest_of_study(study))
    if not attempts:
        return 0
    timeout_s = attempts[0].intent.answer_timeout_s
    entries = queue.read(timeout_s)
    ids = []
    for attempt in attempts:
        entry = entry_of(attempt, entries)
        if entry and entry.alive:
            ids.append(entry.job_id)
            say(f"cancelling {attempt.intent.title}: job {entry.job_id}")
    if ids:
        call(["scancel", *ids], timeout_s)
    return len(ids)


def status_of(attempt: Attempt, entries: list[queue.Entry]) -> Status:
    """How a job stands: by Slurm while that knows it, else by what it left on disk."""
    intent = attempt.intent
    entry = entry_of(attempt, entries)
    if entry and not entry.alive and not attempt.ended:
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
        return State.unsent, ""
    state = attempt.ended.get("state", "")
    detail = state.lower().replace("_", " ")
    match attempt.exit_code:
        case 0:
            return State.finished, ""
        case code if code == OUT_OF_TIME:
            return State.out_of_time, ""
        case code if code == TERMINATED:
            return State.stopped, detail
        case int(code):
            return State.failed, f"exit code {code}"
    if state == "CANCELLED" and not attempt.log.exists():
        unbuilt = attempt.after and attempt.after.exit_code not in (0, None)
        return State.cancelled, "its engine was not built" if unbuilt else ""
    return State.lost, detail or "Slurm knows it no more"
