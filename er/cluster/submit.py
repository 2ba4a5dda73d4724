"""Jobs go to Slurm: each once, from code and configuration that are kept beside it."""

import os
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from er.cluster import builds, folder, frozen, partition, queue
from er.cluster.base import State
from er.cluster.calls import LimitError, NoAnswerError, call
from er.cluster.folder import Attempt, Intent
from er.cluster.script import Places, render
from er.cluster.slurm import status_of
from er.config import Config, SlurmCluster
from er.config.run import IN_CONTAINER
from er.errors import ErError
from er.results import names, places
from er.results.run_dir import RunDir

if TYPE_CHECKING:
    from er.compose import Job

Say = Callable[[str], None]


@dataclass(frozen=True)
class Submission:
    """What is on disk of one, but for its intent."""

    attempt: Attempt
    intent: Intent
    script: Path


def submit(jobs: Sequence["Job"], say: Say, resume: bool = True) -> None:
    """Submit every job that is neither queued, running nor done.

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
            return
        code = frozen.freeze(folder.jobs_dir(config))
        sweep = uuid.uuid4().hex[:8]
        prepared = [prepare(replace(job, sweep=sweep), code, resume) for job in missing]
        for one in prepared:
            call(["sbatch", "--test-only", str(one.script)], timeout_s)
        for number, (job, one) in enumerate(zip(missing, prepared, strict=True)):
            try:
                build = build_first(job, code, say)
                send(one, timeout_s, build)
            except LimitError as error:
                raise ErError(
                    f"{error}: {number} of {len(missing)} jobs are submitted; the same command "
                    "submits the others, once some have ended"
                ) from error
            waits = f", after job {build.job_id}" if build else ""
            say(f"submitted {job.config.title}: job {one.attempt.job_id}{waits}")


def submit_commands(jobs: Sequence["Job"], options: Sequence[str], title: str, say: Say) -> None:
    """Submit `er.build OPTIONS` for every job, such as a preflight; each anew, whenever asked for.

    Raises ErError as `submit` does.
    """
    for job in jobs:
        config = job.config
        partition.require_room(config)
        with submitting(config):
            code = frozen.freeze(folder.jobs_dir(config))
            one = prepare_build(job, code, options, f"{title} {config.title}")
            timeout_s = settings(config).answer_timeout_s
            call(["sbatch", "--test-only", str(one.script)], timeout_s)
            send(one, timeout_s)
        say(f"submitted {one.intent.title}: job {one.attempt.job_id}, log {one.attempt.log}")


def scripts(jobs: Sequence["Job"]) -> list[str]:
    """What would be submitted; nothing is written."""
    rendered = []
    for job in jobs:
        attempt = folder.place_of(job.config) / "001"
        there = places_of(attempt, folder.jobs_dir(job.config) / "code" / "DIGEST")
        rendered.append(render(job.config, "er-UNIQUE", there, command(attempt, resume=True)))
    return rendered


def settings(config: Config) -> SlurmCluster:
    """The Slurm settings of the site."""
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
    if resume and found.state is State.finished and found.run and done(config, found.run):
        say(f"{config.title}: finished in {found.run.path}")
        return True
    if found.state is State.unsent:
        say(f"{config.title}: Slurm has no job of an earlier submission whose answer was lost")
        attempt.withdraw("Slurm does not know it")
    return False


def done(config: Config, run: RunDir) -> bool:
    """Whether a run has all that is asked for; that of a built engine is looked at in the job."""
    if config.engine.kind in IN_CONTAINER:
        return False
    from er.study import job as study  # loads the whole house: not only to look at a queue
    from er.study.known import complete

    return run.read(names.RECORD)["key"] == study.key_of(config) and complete(config, run)


def prepare(job: "Job", code: Path, resume: bool) -> Submission:
    """The submission of a job that measures."""
    attempt, intent = folder.prepare(job, folder.place_of(job.config), job.config.title)
    return written(attempt, intent, job.config, code, command(attempt.path, resume))


def build_first(job: "Job", code: Path, say: Say) -> Attempt | None:
    """The job that builds the engine, submitted where none does; None where the engine is there.

    Raises ErError as `send` does.
    """
    config = job.config
    if not builds.needed(config):
        return None
    timeout_s = settings(config).answer_timeout_s
    known_one = folder.newest(folder.place_of_build(config))
    if known_one and status_of(known_one, queue.read(timeout_s)).state.active:
        return known_one
    one = prepare_build(job, code, [], f"engine of {config.title}")
    send(one, timeout_s)
    say(f"submitted the build of its engine: job {one.attempt.job_id}")
    return one.attempt


def prepare_build(job: "Job", code: Path, options: Sequence[str], title: str) -> Submission:
    """The submission of a job that builds an engine, or looks at the node; no load is sent."""
    attempt, intent = folder.prepare(job, folder.place_of_build(job.config), title)
    line = ["-m", "er.build", f"job={attempt.path / 'job.json'}", *options]
    return written(attempt, intent, job.config, code, line, one_node=True)


def written(
    attempt: Attempt,
    intent: Intent,
    config: Config,
    code: Path,
    line: list[str],
    one_node: bool = False,
) -> Submission:
    """A new attempt with its script."""
    script = attempt.path / "script.sh"
    there = places_of(attempt.path, code)
    script.write_text(render(config, intent.name, there, line, one_node))
    return Submission(attempt, intent, script)


def places_of(attempt: Path, code: Path) -> Places:
    """Paths as they are here; nodes see the same file system."""
    return Places(attempt, Path(sys.executable), code, Path.cwd())


def command(attempt: Path, resume: bool) -> list[str]:
    """What python does in the job."""
    return ["-m", "er.run", f"job={attempt / 'job.json'}", *([] if resume else ["resume=false"])]


def send(one: Submission, timeout_s: float, after: Attempt | None = None) -> None:
    """Submit it, once, to begin when `after` has ended well: where the answer is lost it is looked
    for, not sent again.

    Raises ErError when Slurm refuses, or when nobody knows.
    """
    attempt, intent = one.attempt, one.intent
    options = []
    if after:
        attempt.write("after.json", str(after.path))
        options = [f"--dependency=afterok:{after.job_id}", "--kill-on-invalid-dep=yes"]
    folder.note_intent(attempt, intent)
    try:
        said = call(["sbatch", "--parsable", *options, str(one.script)], timeout_s)
    except (NoAnswerError, LimitError) as error:
        found = look_for(intent.name, timeout_s)
        if not found and isinstance(error, LimitError):
            attempt.withdraw(str(error))
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
