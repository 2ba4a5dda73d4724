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
from er.results.point import describe_invalid
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
    """What would be submitted, builds of missing engines first; nothing is written."""
    missing = {folder.place_of_build(job.config): job for job in jobs if builds.needed(job.config)}
    rendered = command_scripts(list(missing.values()), [])
    for job in jobs:
        attempt = folder.place_of(job.config) / "001"
        line = command(attempt, resume=True)
        rendered.append(render(job.config, "er-UNIQUE", unwritten(job, attempt), line))
    return rendered


def command_scripts(jobs: Sequence["Job"], options: Sequence[str]) -> list[str]:
    """What `submit_commands` would submit; nothing is written."""
    rendered = []
    for job in jobs:
        attempt = folder.place_of_build(job.config) / "001"
        line = build_command(attempt, options)
        there = unwritten(job, attempt)
        rendered.append(render(job.config, "er-UNIQUE", there, line, one_node=True))
    return rendered


def unwritten(job: "Job", attempt: Path) -> Places:
    """The places of a script that is only shown."""
    return places_of(attempt, folder.jobs_dir(job.config) / "code" / "DIGEST")


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
    if resume and found.run:
        say_what_is_measured_again(config, found.run, say)
    return False


def done(config: Config, run: RunDir) -> bool:
    """Whether a run has all that is asked for; that of a built engine is looked at in the job."""
    from er.study.known import complete  # loads the whole house: not only to look at a queue

    return config.engine.kind not in IN_CONTAINER and of_now(config, run) and complete(config, run)


def of_now(config: Config, run: RunDir) -> bool:
    """Whether the job would add to this run; the engine that it finds on its node may differ."""
    from er.study import job as study

    if config.engine.kind in IN_CONTAINER:
        return True
    return bool(run.read(names.RECORD)["key"] == study.key_of(config))


def say_what_is_measured_again(config: Config, run: RunDir, say: Say) -> None:
    """Say which points are there, and why the job measures them once more."""
    from er.study.known import invalid_points

    if not run.has(names.RECORD) or not run.points():
        return
    if not of_now(config, run):
        say(f"{config.title}: all is measured anew, by other code or inputs than {run.path}")
        return
    again = invalid_points(config, run)
    if again:
        say(f"{config.title}: measures again {describe_invalid(again)}")


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
    intent = replace(intent, ladder=[])  # nothing is measured
    line = build_command(attempt.path, options)
    return written(attempt, intent, job.config, code, line, one_node=True)


def build_command(attempt: Path, options: Sequence[str]) -> list[str]:
    """What python does in a job that builds an engine, or looks at the node."""
    return ["-m", "er.build", f"job={attempt / 'job.json'}", *options]


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
