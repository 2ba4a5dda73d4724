"""Jobs go to Slurm: each once, from code and configuration that are kept beside it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from er.cluster import builds, folder, frozen, inputs, partition, queue
from er.cluster.base import State
from er.cluster.calls import LimitError, NoAnswerError, call
from er.cluster.folder import Attempt
from er.cluster.prepare import dropped_unless_sent, prepare, prepare_command, settings
from er.cluster.sending import Say, Submission, send_or_hold_back, submitting
from er.cluster.slurm import status_of
from er.config import Config
from er.config.run import IN_CONTAINER
from er.errors import ConfigError, ErError
from er.results import command_id, names
from er.results.point import describe_invalid
from er.results.run_dir import RunDir

if TYPE_CHECKING:
    from er.compose import Job

LAPTOP = "laptop"  # the name of the load and of the workload that are chosen by default
FULL_SIZE = "load=full workload=mlperf_like"
NOTHING_NEW = "nothing new is submitted"


def submit(jobs: Sequence["Job"], say: Say, resume: bool = True) -> None:
    """Submit every job that is neither queued, running nor done, builds of missing engines first.

    What Slurm has no room for is held back, and said so: `submit_held_back` and the same command
    submit it later. Raises ErError, before anything is submitted, when Slurm would refuse one of
    the scripts; later, when Slurm refuses or does not answer: what was submitted until then stays
    so.
    """
    config = jobs[0].config
    for job in jobs:
        partition.require_room(job.config)
        inputs.require_there(job.config)
    with submitting(folder.jobs_dir(config)):
        current = read_queue(config)
        missing = [job for job in jobs if not known(job.config, current, say, resume)]
        say_what_else_is_there(jobs, current, say)
        command = command_id.new_id()
        if not missing:
            note_command(jobs, command)
            say(NOTHING_NEW)
            return
        say_load(missing, say)
        code = frozen.freeze(folder.jobs_dir(config))
        measuring = [prepare(replace(job, sweep=command), code, resume) for job in missing]
        wanted = builds_of(missing, code, current)
        new = [build for build in wanted.values() if isinstance(build, Submission)]
        with dropped_unless_sent([*new, *measuring]):
            require_accepted([*new, *measuring])
            send_all(missing, measuring, wanted, say)
        note_command([job for job in jobs if job not in missing], command)


def note_command(jobs: Sequence["Job"], command: str) -> None:
    """Count jobs that Slurm has, or that are done, as those of this command too."""
    for job in jobs:
        attempt = folder.newest(folder.place_of(job.config))
        assert attempt
        attempt.note_command(command)


def submit_commands(jobs: Sequence["Job"], action: str, title: str, say: Say) -> None:
    """Submit `er.build action=ACTION` for every job, unless the same is queued or running.

    Raises ErError as `submit` does.
    """
    for job in jobs:
        partition.require_room(job.config, action)
        if action == folder.BUILD:
            inputs.require_there(job.config)
    config = jobs[0].config
    with submitting(folder.jobs_dir(config)):
        current = read_queue(config)
        code = frozen.freeze(folder.jobs_dir(config))
        new: dict[Path, Submission] = {}
        for job in jobs:
            place = folder.place_of_command(job.config, action)
            titled = f"{title} {job.config.title}"
            if place not in new and not waits_or_runs(folder.newest(place), titled, current, say):
                new[place] = prepare_command(job, code, action, titled)
        if not new:
            say(NOTHING_NEW)
            return
        with dropped_unless_sent(list(new.values())):
            require_accepted(list(new.values()))
            full = ""
            for one in new.values():
                full = send_one(one, None, full, say)
                if not full:
                    say(f"its log: {one.attempt.log}")
            say_what_is_held_back(full, list(new.values()), say)


def say_load(jobs: Sequence["Job"], say: Say) -> None:
    """Say which ladder and workload go out, once for all jobs of the same."""
    for line in dict.fromkeys(describe_load(job.config) for job in jobs):
        say(line)


def describe_load(config: Config) -> str:
    """The ladder and the workload, and how to get those of the full size."""
    load, workload = config.load, config.workload
    users = ", ".join(map(str, load.concurrency))
    line = (
        f"measures {users} users (load={load.name}), prompts of workload={workload.name} "
        f"({workload.description})"
    )
    if LAPTOP in (load.name, workload.name) and config.engine.kind in IN_CONTAINER:
        line += f"; made for laptops, a study at its full size takes {FULL_SIZE}"
    return line


def read_queue(config: Config) -> list[queue.Entry]:
    """The queue, with the jobs of all who submitted some of the study."""
    others = folder.users(folder.jobs_dir(config).parent)
    return queue.read(settings(config).answer_timeout_s, others)


def say_what_else_is_there(jobs: Sequence["Job"], current: list[queue.Entry], say: Say) -> None:
    """Name jobs of the study that are queued or running and were asked for by other settings."""
    config = jobs[0].config
    asked = {folder.place_of(job.config) for job in jobs}
    asked |= {folder.place_of_command(job.config, folder.BUILD) for job in jobs}
    others = [
        found.job_id
        for attempt in folder.newest_of_study(folder.jobs_dir(config).parent)
        if attempt.path.parent not in asked and (found := status_of(attempt, current)).state.active
    ]
    if others:
        say(
            f"study {config.study} has other jobs too, of other settings or deployments: "
            f"{', '.join(others)} ({folder.describe_next(config, 'er.status')} shows them)"
        )


def builds_of(
    jobs: Sequence["Job"], code: Path, current: list[queue.Entry]
) -> dict[Path, Attempt | Submission]:
    """By its place, the build that jobs wait for: one that Slurm has already, or a new one."""
    found: dict[Path, Attempt | Submission] = {}
    for job in jobs:
        place = folder.place_of_command(job.config, folder.BUILD)
        if place in found or not builds.needed(job.config):
            continue
        before = folder.newest(place)
        if before and status_of(before, current).state.active:
            found[place] = before
        else:
            found[place] = prepare_command(job, code, folder.BUILD, f"engine of {job.config.title}")
    return found


def require_accepted(submissions: Sequence[Submission]) -> None:
    """Raise ConfigError when Slurm would refuse one of the scripts, ErError where it is silent."""
    for one in submissions:
        try:
            call(["sbatch", "--test-only", str(one.script)], one.intent.answer_timeout_s)
        except LimitError:
            continue
        except NoAnswerError:
            raise
        except ErError as error:
            raise ConfigError(f"{one.intent.title}: {error}") from error


def send_all(
    jobs: Sequence["Job"],
    measuring: Sequence[Submission],
    wanted: dict[Path, Attempt | Submission],
    say: Say,
) -> None:
    """Send each job, before it the build that it waits for, until there is no more room."""
    full = ""
    for job, one in zip(jobs, measuring, strict=True):
        place = folder.place_of_command(job.config, folder.BUILD)
        build = wanted.get(place)
        if isinstance(build, Submission):
            full = send_one(build, None, full, say)
            build = wanted[place] = build.attempt
        full = send_one(one, build, full, say)
    say_what_is_held_back(full, measuring, say)


def send_one(one: Submission, after: Attempt | None, full: str, say: Say) -> str:
    """Send it, or hold it back and say so: why, else nothing. Raises ErError as `send` does."""
    before = folder.newest(one.attempt.path.parent)
    if before and before.waits_here:
        before.withdraw("submitted anew")
    full = send_or_hold_back(one, one.intent.answer_timeout_s, after, full)
    if full:
        say(f"held back {one.intent.title}")
    else:
        waits = f", after job {after.job_id}" if after else ""
        say(f"submitted {one.intent.title}: job {one.attempt.job_id}{waits}")
    return full


def say_what_is_held_back(full: str, submissions: Sequence[Submission], say: Say) -> None:
    """Say how many are, where there was no more room, and who submits them."""
    if full:
        held = sum(one.attempt.held_back for one in submissions)
        say(
            f"{full}: {len(submissions) - held} of {len(submissions)} jobs are submitted; "
            "er.collect --follow, or the same command, submits the others once there is room"
        )


def waits_or_runs(
    attempt: Attempt | None, title: str, current: list[queue.Entry], say: Say
) -> bool:
    """Whether Slurm has this submission, queued or running, which is then said."""
    if not attempt:
        return False
    found = status_of(attempt, current)
    if found.state.active:
        say(f"{title}: {found.state.value} as job {found.job_id}")
    if found.state is State.unsent:
        say(f"{title}: Slurm has no job of an earlier submission whose answer was lost")
    return found.state.active


def known(config: Config, current: list[queue.Entry], say: Say, resume: bool) -> bool:
    """Whether Slurm has the job already, or all of it is done."""
    attempt = folder.newest(folder.place_of(config))
    if not attempt:
        return False
    if waits_or_runs(attempt, config.title, current, say):
        return True
    run = attempt.run
    ended_well = status_of(attempt, current).state is State.finished
    if resume and ended_well and run and done(config, run):
        say(f"{config.title}: finished in {run.path}")
        return True
    if resume and run:
        say_what_is_measured_again(config, run, say)
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
