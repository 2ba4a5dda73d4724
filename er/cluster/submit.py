"""Jobs go to Slurm: each once, from code and configuration that are kept beside it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from er.cli import Terminated
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
from er.results.words import count_of

if TYPE_CHECKING:
    from er.compose import Job

LAPTOP = "laptop"  # the name of the load and of the workload that are chosen by default
FULL_SIZE = "load=full workload=mlperf_like"
NOTHING_NEW = "nothing new is submitted"


def submit(jobs: Sequence["Job"], say: Say, resume: bool = True) -> None:
    """Submit every job that is neither queued, running nor done, builds of missing engines first.

    A job of which all is measured already, in this study or another, is not: its points are taken
    here. What Slurm has no room for is held back, and said so: `submit_held_back` and the same
    command submit it later.
    Raises ErError, before anything is submitted, when Slurm would refuse one of the scripts; later,
    when Slurm refuses or does not answer: what was submitted until then stays so.
    """
    config = jobs[0].config
    for job in jobs:
        partition.require_room(job.config)
        inputs.require_shell(job.config)
        inputs.require_there(job.config)
    with submitting(folder.jobs_dir(config)), saying_what_goes_on(config):
        current = read_queue(config)
        command = command_id.new_id()
        missing = [job for job in jobs if not is_there(job, current, say, command, resume)]
        say_what_else_is_there(jobs, current, say)
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
        inputs.require_shell(job.config)
        if action == folder.BUILD:
            inputs.require_there(job.config)
    config = jobs[0].config
    with submitting(folder.jobs_dir(config)), saying_what_goes_on(config):
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


@contextmanager
def saying_what_goes_on(config: Config) -> Iterator[None]:
    """Have an interruption of the block say that it stops no job."""
    try:
        yield
    except (KeyboardInterrupt, Terminated) as ended:
        look = folder.describe_next(config, "er.status")
        ended.add_note(f"submitted jobs go on ({look}); the same command submits what is missing")
        raise


def say_load(jobs: Sequence["Job"], say: Say) -> None:
    """Say which ladder and workload go out, once for all jobs of the same."""
    for line in dict.fromkeys(describe_load(job.config) for job in jobs):
        say(line)


def describe_load(config: Config) -> str:
    """The ladder and the workload, and how to get those of the full size."""
    load, workload = config.load, config.workload
    *others, last = load.concurrency
    users = ", ".join([*map(str, others), count_of(last, "user")])
    line = (
        f"measures {users} (load={load.name}), prompts of workload={workload.name} "
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
    """Raise ConfigError when Slurm would refuse one of the scripts, ErError where it is silent.

    Without room for more jobs it looks at none, and sbatch tries for as long as it may.
    """
    for one in submissions:
        try:
            call(["sbatch", "--test-only", str(one.script)], one.intent.answer_timeout_s)
        except LimitError:
            return
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
    withdraw_waiting(one.attempt.path.parent)
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


def is_there(
    job: "Job", current: list[queue.Entry], say: Say, command: str, resume: bool = True
) -> bool:
    """Whether nothing is to be submitted: Slurm has the job already, or all that it would measure
    is on disk, from where its points are taken here, as on a laptop, for this command."""
    from er.study.job import place_of_all  # loads the whole house: not only to look at a queue

    config = job.config
    attempt = folder.newest(folder.place_of(config))
    if attempt and waits_or_runs(attempt, config.title, current, say):
        return True
    if not resume:
        return False
    if config.engine.kind in IN_CONTAINER:
        say_what_its_node_may_find(config, say)
    elif place := place_of_all(config):
        if attempt and is_finished_in(attempt, place, current):
            say(f"{config.title}: finished in {place}")
        else:
            take(job, command, say)
        return True
    if attempt and attempt.run:
        say_what_is_measured_again(config, attempt.run, say)
    return False


def is_finished_in(attempt: Attempt, place: Path, current: list[queue.Entry]) -> bool:
    """Whether a job has ended well, with its points there."""
    same = attempt.run and attempt.run.path == place.absolute()
    return bool(same) and status_of(attempt, current).state is State.finished


def take(job: "Job", command: str, say: Say) -> None:
    """Take all that a job would measure from where it is, in place of a submission."""
    from er.study.job import take_all

    config = job.config
    run, source = take_all(config, command)
    withdraw_waiting(folder.place_of(config))
    folder.note_taken(job, run, source)
    say(f"{config.title}: all is measured already in {source}: no job is needed")


def say_what_its_node_may_find(config: Config, say: Say) -> None:
    """Say where all of it is measured with an engine, though only a node can tell whether it would
    serve the same: the job takes the points then."""
    from er.study.job import place_of_an_engine

    place = place_of_an_engine(config)
    if place:
        say(
            f"{config.title}: {place} has all of it; where the node finds the same engine, the job "
            "takes these points and measures nothing"
        )


def withdraw_waiting(place: Path) -> None:
    """Give up a submission that Slurm is not known to have: another takes its place."""
    before = folder.newest(place)
    if before and before.waits_here:
        before.withdraw("submitted anew")


def of_now(config: Config, run: RunDir) -> bool:
    """Whether the job would add to this run; the engine that it finds on its node may differ."""
    from er.study.job import key_of

    if config.engine.kind in IN_CONTAINER:
        return True
    return bool(run.read(names.RECORD)["key"] == key_of(config))


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
