"""One submission after the other to Slurm: each once, or held back here while there is no room."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from er.cluster import folder, queue
from er.cluster.calls import LimitError, NoAnswerError, call
from er.cluster.folder import Attempt, Intent
from er.errors import ErError
from er.results import places

Say = Callable[[str], None]


@dataclass(frozen=True)
class Submission:
    """What is on disk of one, but for its intent."""

    attempt: Attempt
    intent: Intent
    script: Path


@contextmanager
def submitting(jobs_dir: Path) -> Iterator[None]:
    """One command at a time submits jobs of a study. Raises ErError when another does."""
    with places.explain_write_errors(jobs_dir):
        jobs_dir.mkdir(parents=True, exist_ok=True)
        lock = (jobs_dir / "lock").open("w")
    with lock:
        if not places.try_lock(lock):
            raise ErError(f"another command submits jobs of {jobs_dir.parent}: run this one again")
        os.utime(jobs_dir)  # the study that was submitted last comes first
        yield


def submit_held_back(study: Path, say: Say) -> None:
    """Submit, in their order, the jobs of a study that are held back, until there is no more room.

    Raises ErError as `submit` does.
    """
    waiting = [attempt for attempt in folder.newest_of_study(study) if attempt.held_back]
    if not waiting:
        return
    with submitting(study / folder.JOBS):
        for attempt in sorted(waiting, key=lambda one: (one.intent.when, one.after is not None)):
            if not attempt.held_back or attempt.withdrawn:  # by another command meanwhile
                continue
            one = Submission(attempt, attempt.intent, attempt.path / "script.sh")
            build = attempt.after if attempt.after and attempt.after.exit_code != 0 else None
            if send_or_hold_back(one, attempt.intent.answer_timeout_s, build):
                return
            say(f"submitted {attempt.intent.title}: job {attempt.job_id}")


def send_or_hold_back(
    one: Submission, timeout_s: float, after: Attempt | None, full: str = ""
) -> str:
    """Send it, unless Slurm is known to be `full`, or turns out to be: why, else nothing.

    Raises ErError as `send` does.
    """
    if not full:
        try:
            send(one, timeout_s, after)
            return ""
        except LimitError as error:
            full = str(error)
    note_wanted(one, after)
    one.attempt.hold_back(full)
    return full


def note_wanted(one: Submission, after: Attempt | None) -> None:
    """What is on disk before Slurm is asked."""
    if after:
        one.attempt.write("after.json", str(after.path))
    folder.note_intent(one.attempt, one.intent)


def send(one: Submission, timeout_s: float, after: Attempt | None = None) -> None:
    """Submit it, once, to begin when `after` has ended well: where the answer is lost it is looked
    for, not sent again.

    Raises LimitError when Slurm has no room, ErError when it refuses, or when nobody knows.
    """
    attempt, intent = one.attempt, one.intent
    note_wanted(one, after)
    options = []
    if after:
        options = [f"--dependency=afterok:{after.job_id}", "--kill-on-invalid-dep=yes"]
    try:
        said = call(["sbatch", "--parsable", *options, str(one.script)], timeout_s)
    except (NoAnswerError, LimitError) as error:
        found = look_for(intent.name, timeout_s)
        if not found and isinstance(error, LimitError):
            raise
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
