"""`python -m er.collect [STUDY]`: publish what the jobs of a study measured.

It ends as `er.run` does on a laptop: with figures, verdicts and report.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from er import cli
from er.cluster import folder, sending, slurm
from er.cluster.base import State, Status
from er.cluster.folder import Attempt
from er.errors import ErError
from er.report.study import Study, finish_all
from er.results import command_id, names, places, terminal
from er.results.point import describe_invalid
from er.results.run_dir import RunDir
from er.tracking.publish import update

EVERY_S = 15.0
LOOK_S = 0.2  # whether another command has ended


def main() -> int:
    """Publish the jobs that have ended to MLflow, once each; make figures, verdicts and report."""
    parser = cli.parser("er.collect", main.__doc__)
    parser.add_argument("study", nargs="?", default="", help="the one submitted last, if unsaid")
    parser.add_argument(
        "--runs-dir", type=Path, default=Path(folder.RUNS_DIR), help="as runs_dir of er.run"
    )
    parser.add_argument(
        "--follow",
        action="store_true",
        help="until no job is queued or running; submit those held back",
    )
    options = parser.parse_args()
    study = folder.study_of(options.runs_dir, options.study)
    said = ""
    while True:
        jobs = slurm.read(study)
        if jobs.silence:
            terminal.say(jobs.describe_silence())
        waiting = jobs.may_change or (not jobs.silence and any_held_back(jobs.found))
        if not (options.follow and waiting):
            break
        if (states := describe_states(jobs.found)) != said:
            terminal.say(f"waiting: {states}; er.status --watch shows them")
            said = states
        time.sleep(EVERY_S)
        if not jobs.silence:
            sending.submit_held_back(study, terminal.say)
    pairs = list(zip(jobs.attempts, jobs.found, strict=True))
    code = say_what_is_missing(jobs.found)
    with one_at_a_time(study):
        if not publish([attempt for attempt, one in pairs if not one.state.active]):
            return code
        try:
            finish_all(studies_of(jobs.attempts, options.runs_dir), terminal.console())
        except ErError as error:
            if all(one.state is State.finished for one in jobs.found):
                raise
            failed = [one.title for one in jobs.found if one.state is State.failed]
            why = f"; {' and '.join(failed)} failed: look at the logs named above" if failed else ""
            terminal.say(f"not all can be drawn yet: {error}{why}")
    return code


def describe_states(found: Sequence[Status]) -> str:
    """How many jobs there are of each state."""
    counts = Counter(one.state.value for one in found)
    return ", ".join(f"{count} {state}" for state, count in counts.items())


@contextmanager
def one_at_a_time(study: Path) -> Iterator[None]:
    """Wait until no other command collects the study; none does while the block lasts."""
    with (study / folder.JOBS / "collect.lock").open("w") as lock:
        if not places.try_lock(lock):
            terminal.say("another er.collect is at work on this study: waiting for it")
            while not places.try_lock(lock):
                time.sleep(LOOK_S)
        yield


def any_held_back(found: Sequence[Status]) -> bool:
    """Whether a job is still to be submitted."""
    return any(one.state.waits_for_room for one in found)


def publish(attempts: Sequence[Attempt]) -> int:
    """Take to MLflow what was measured, a run that is there already stays one; how many."""
    published = 0
    for attempt in attempts:
        run, intent = attempt.run, attempt.intent
        if run and run.has(names.POINTS) and intent.publish:
            count_for_later_command(run, attempt.command)
            if update(run, intent.tracking_uri).kept:
                terminal.say(f"{intent.title}: {run.path}, there already")
            else:
                terminal.say(f"published {intent.title}: {run.path}")
            published += 1
    return published


def count_for_later_command(run: RunDir, command: str) -> None:
    """Name the run as one of a command that found its job here, unless a later one had it or
    another one is measuring it."""
    tags = run.read(names.RECORD)["tags"]
    before = command_id.given_ms(tags.get("er.sweep", "")) or 0
    if (command_id.given_ms(command) or 0) > before and run.status() != "running":
        run.relabel({**tags, "er.sweep": command})


def studies_of(attempts: Sequence[Attempt], runs_dir: Path) -> Iterator[Study]:
    """What is to be made of them, as `er.run` makes it of what it has measured itself."""
    for intent in (attempt.intent for attempt in attempts):
        if intent.publish:
            yield Study(intent.study, intent.tracking_uri, runs_dir, intent.figures, intent.ladder)


def say_what_is_missing(found: Sequence[Status]) -> int:
    """1 when a job has ended without all that it was to measure; invalid points are named."""
    code = 0
    for one in found:
        if one.invalid:
            terminal.say(f"{one.title}: {describe_invalid(one.invalid)}")
        if one.state is State.finished:
            continue
        detail = f" ({one.detail})" if one.detail else ""
        terminal.say(f"{one.title}: {one.state.value}{detail}")
        if not one.state.active:
            code = 1
            if one.log and one.log.exists():
                terminal.say(f"    {one.log}: {one.last_line()}")
    return code


if __name__ == "__main__":
    sys.exit(cli.run("er.collect", main, "what was published is in MLflow, the rest is not"))
