"""Jobs on a site with Slurm: submit them, see how they stand, cancel them."""

import os
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from er.cli import OUT_OF_TIME, TERMINATED
from er.cluster import folder, frozen, partition, queue
from er.cluster.base import State, Status
from er.cluster.calls import NoAnswerError, call
from er.cluster.folder import Attempt
from er.cluster.script import Places, render
from er.config import Config, SlurmCluster
from er.config.run import IN_CONTAINER
from er.errors import ErError
from er.results import names, places
from er.results.run_dir import RunDir

if TYPE_CHECKING:
    from er.compose import Job

Say = Callable[[str], None]


def submit(jobs: Sequence["Job"], say: Say, resume: bool = True) -> list[Attempt]:
    """Submit every job that is neither queued, running nor done; their newest submissions.

    Raises ErError, before anything is submitted, when Slurm would refuse one; later, when Slurm
    refuses or does not answer: what was submitted until then stays so.
    """
    config = jobs[0].config
    timeout_s = settings(config).answer_timeout_s
    for job in jobs:
        partition.require_room(job.config)
    with submitting(config):
        current = queue.read(timeout_s)
        missing = [job for job in jobs if not known(job.config, current, say, resume)]
        if not missing:
            say("nothing new is submitted")
            return [found for job in jobs if (found := folder.newest(folder.place_of(job.config)))]
        code = frozen.freeze(folder.jobs_dir(config))
        sweep = uuid.uuid4().hex[:8]
        prepared = [prepare(replace(job, sweep=sweep), code, resume) for job in missing]
        for job, (_, _, script) in zip(missing, prepared, strict=True):
            test(script, job.config)
        for job, (attempt, intent, script) in zip(missing, prepared, strict=True):
            send(attempt, intent, script, timeout_s)
            say(f"submitted {job.config.title}: job {attempt.job_id}")
    return [found for job in jobs if (found := folder.newest(folder.place_of(job.config)))]


def scripts(jobs: Sequence["Job"]) -> list[str]:
    """What would be submitted; nothing is written."""
    rendered = []
    for job in jobs:
        attempt = folder.place_of(job.config) / "001"
        code = folder.jobs_dir(job.config) / "code" / "DIGEST"
        rendered.append(
            render(job.config, "er-UNIQUE", places_of(attempt, code), command(attempt, True))
        )
    return rendered


def status(folder_of_study: Path) -> list[Status]:
    """How the jobs of a study stand; what Slurm says of an end is noted."""
    attempts = list(folder.newest_of_study(folder_of_study))
    if not attempts:
        return []
    entries = queue.read(attempts[0].intent.answer_timeout_s)
    return [status_of(attempt, entries) for attempt in attempts]


def cancel(folder_of_study: Path, say: Say) -> int:
    """Cancel the jobs of a study that are queued or running, by their ids; how many."""
    attempts = list(folder.newest_of_study(folder_of_study))
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


def settings(config: Config) -> SlurmCluster:
    """Of the site."""
    assert isinstance(config.cluster, SlurmCluster)
    return config.cluster


@contextmanager
def submitting(config: Config) -> Iterator[None]:
    """One command at a time submits jobs of a study. Raises ErError when another does."""
    jobs_dir = folder.jobs_dir(config)
    with places.naming(jobs_dir):
        jobs_dir.mkdir(parents=True, exist_ok=True)
        lock = (jobs_dir / "lock").open("w")
    with lock:
        if not places.locks(lock):
            raise ErError(f"another command submits jobs of {jobs_dir.parent}: run this one again")
        os.utime(jobs_dir)  # the study that was submitted last comes first
        yield


def known(config: Config, entries: list[queue.Entry], say: Say, resume: bool) -> bool:
    """Whether Slurm has the job already, or all of it is done."""
    attempt = folder.newest(folder.place_of(config))
    if not attempt:
        return False
    found = status_of(attempt, entries)
    if found.state.active:
        say(f"{config.title}: {found.state.value} as job {found.job_id}")
        return True
    if resume and found.state is State.finished and done(config, found.run):
        say(f"{config.title}: finished in {found.run.path if found.run else ''}")
        return True
    if found.state is State.unsent:
        say(f"{config.title}: the answer to an earlier submission was lost, and Slurm has no such")
        attempt.withdraw("Slurm does not know it")
    return False


def done(config: Config, run: RunDir | None) -> bool:
    """Whether a run has all that is asked for; that of a built engine is looked at in the job."""
    if not run or config.engine.kind in IN_CONTAINER:
        return False
    from er.study import job as study  # loads the whole house: not only to look at a queue
    from er.study.known import complete

    return run.read(names.RECORD)["key"] == study.key_of(config) and complete(config, run)


def prepare(job: "Job", code: Path, resume: bool) -> tuple[Attempt, folder.Intent, Path]:
    """A submission on disk, but for its intent; its script."""
    attempt, intent = folder.prepare(job)
    script = attempt.path / "script.sh"
    script.write_text(
        render(
            job.config, intent.name, places_of(attempt.path, code), command(attempt.path, resume)
        )
    )
    return attempt, intent, script


def places_of(attempt: Path, code: Path) -> Places:
    """As they are here; nodes see the same file system."""
    return Places(attempt, Path(sys.executable), code, Path.cwd())


def command(attempt: Path, resume: bool) -> list[str]:
    """What python does in the job."""
    return ["-m", "er.run", f"job={attempt / 'job.json'}", *([] if resume else ["resume=false"])]


def test(script: Path, config: Config) -> None:
    """Raise ErError when Slurm would refuse the script."""
    call(["sbatch", "--test-only", str(script)], settings(config).answer_timeout_s)


def send(attempt: Attempt, intent: folder.Intent, script: Path, timeout_s: float) -> None:
    """Submit it, once: where the answer is lost it is looked for, not sent again.

    Raises ErError when Slurm refuses, or when nobody knows.
    """
    folder.note_intent(attempt, intent)
    try:
        said = call(["sbatch", "--parsable", str(script)], timeout_s)
    except NoAnswerError as error:
        found = look_for(intent.name, timeout_s)
        if not found:
            raise ErError(
                f"{error}; whether Slurm took {intent.title} is not known: the same command looks "
                "for it again before it submits anything"
            ) from error
        attempt.note_receipt(found)
        return
    except ErError as error:
        attempt.withdraw(str(error))
        raise
    attempt.note_receipt(said.strip().partition(";")[0])


def look_for(name: str, timeout_s: float) -> str:
    """The id of a submission whose answer was lost; empty where Slurm has no such, or is silent."""
    try:
        found = queue.find(queue.read(timeout_s), name)
    except NoAnswerError:
        return ""
    return found.job_id if found else ""


def entry_of(attempt: Attempt, entries: list[queue.Entry]) -> queue.Entry | None:
    """The job in Slurm's queue; an id that was lost is noted when it is found."""
    name, job_id = attempt.intent.name, attempt.job_id
    if job_id:
        return queue.by_id(entries, job_id, name)
    found = queue.find(entries, name)
    if found:
        attempt.note_receipt(found.job_id)
    return found


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


def state_of(attempt: Attempt, entry: queue.Entry | None) -> tuple[State, str]:
    """The state, and why it waits or how it ended."""
    if entry and entry.alive:
        if entry.waits:
            return State.queued, entry.reason.strip("()")
        return State.running, "" if entry.state == "RUNNING" else entry.state.lower()
    if not attempt.job_id and not attempt.log.exists():
        return State.unsent, ""
    said = attempt.ended.get("state", "")
    detail = said.lower().replace("_", " ")
    match attempt.exit_code:
        case 0:
            return State.finished, ""
        case code if code == OUT_OF_TIME:
            return State.out_of_time, ""
        case code if code == TERMINATED:
            return State.stopped, detail
        case int(code):
            return State.failed, f"exit code {code}"
    if said == "CANCELLED" and not attempt.log.exists():
        return State.cancelled, ""
    return State.lost, detail or "Slurm knows it no more"
