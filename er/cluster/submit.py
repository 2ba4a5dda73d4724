"""Jobs go to Slurm: each once, from code and configuration that are kept beside it."""

import sys
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from er.cluster import builds, folder, frozen, partition, queue
from er.cluster.base import State
from er.cluster.calls import LimitError, call
from er.cluster.folder import Attempt, Intent
from er.cluster.script import Places, render
from er.cluster.sending import Say, Submission, send, send_or_hold_back, submitting
from er.cluster.slurm import status_of
from er.config import Config, SlurmCluster
from er.config.run import IN_CONTAINER
from er.results import names
from er.results.run_dir import RunDir

if TYPE_CHECKING:
    from er.compose import Job


def submit(jobs: Sequence["Job"], say: Say, resume: bool = True) -> None:
    """Submit every job that is neither queued, running nor done.

    What Slurm has no room for is held back, and said so: `submit_held_back` and the same command
    submit it later. Raises ErError, before anything is submitted, when Slurm would refuse one;
    later, when Slurm refuses or does not answer: what was submitted until then stays so.
    """
    config = jobs[0].config
    timeout_s = settings(config).answer_timeout_s
    for job in jobs:
        partition.require_room(job.config)
    with submitting(folder.jobs_dir(config)):
        current = queue.read(timeout_s)
        missing = [job for job in jobs if not known(job.config, current, say, resume)]
        if not missing:
            say("nothing new is submitted")
            return
        code = frozen.freeze(folder.jobs_dir(config))
        sweep = uuid.uuid4().hex[:8]
        prepared = [prepare(replace(job, sweep=sweep), code, resume) for job in missing]
        for one in prepared:
            with suppress(LimitError):
                call(["sbatch", "--test-only", str(one.script)], timeout_s)
        full = ""
        for job, one in zip(missing, prepared, strict=True):
            build, full = build_first(job, code, say, full)
            full = send_or_hold_back(one, timeout_s, build, full)
            if full:
                say(f"held back {job.config.title}")
                continue
            waits = f", after job {build.job_id}" if build else ""
            say(f"submitted {job.config.title}: job {one.attempt.job_id}{waits}")
        if full:
            held = sum(one.attempt.held_back for one in prepared)
            say(
                f"{full}: {len(prepared) - held} of {len(prepared)} jobs are submitted; er.collect "
                "--follow, or the same command, submits the others once there is room"
            )


def submit_commands(jobs: Sequence["Job"], options: Sequence[str], title: str, say: Say) -> None:
    """Submit `er.build OPTIONS` for every job, such as a preflight; each anew, whenever asked for.

    Raises ErError as `submit` does.
    """
    for job in jobs:
        config = job.config
        partition.require_room(config)
        with submitting(folder.jobs_dir(config)):
            code = frozen.freeze(folder.jobs_dir(config))
            one = prepare_build(job, code, options, f"{title} {config.title}")
            timeout_s = settings(config).answer_timeout_s
            call(["sbatch", "--test-only", str(one.script)], timeout_s)
            try:
                send(one, timeout_s)
            except LimitError as error:
                one.attempt.withdraw(str(error))
                raise
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
    if found.state is State.held_back:
        attempt.withdraw("submitted anew")
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


def build_first(job: "Job", code: Path, say: Say, full: str) -> tuple[Attempt | None, str]:
    """The job that builds the engine, submitted where none does, and why it is held back, if so.

    None where the engine is there. Raises ErError as `send` does.
    """
    config = job.config
    if not builds.needed(config):
        return None, full
    timeout_s = settings(config).answer_timeout_s
    known_one = folder.newest(folder.place_of_build(config))
    if known_one:
        state = status_of(known_one, queue.read(timeout_s)).state
        if state.active or (full and state is State.held_back):
            return known_one, full
        if state is State.held_back:
            known_one.withdraw("submitted anew")
    one = prepare_build(job, code, [], f"engine of {config.title}")
    full = send_or_hold_back(one, timeout_s, None, full)
    if not full:
        say(f"submitted the build of its engine: job {one.attempt.job_id}")
    return one.attempt, full


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
