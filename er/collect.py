"""`python -m er.collect [STUDY]`: publish what the jobs of a study measured, draw its figures."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from er import cli
from er.cluster import folder, sending, slurm
from er.cluster.base import State, Status
from er.cluster.folder import Attempt
from er.errors import ErError
from er.report import views
from er.results import names
from er.results.point import describe_invalid
from er.tracking.publish import publish as publish_to_mlflow

EVERY_S = 15.0


def main() -> int:
    """Publish the jobs that have ended to MLflow, once each, and draw the figures of the study."""
    parser = cli.parser("er.collect", main.__doc__)
    parser.add_argument("study", nargs="?", default="", help="the one submitted last, if unsaid")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="as runs_dir of er.run")
    parser.add_argument(
        "--follow",
        action="store_true",
        help="until no job is queued or running; submit those held back",
    )
    options = parser.parse_args()
    study = folder.study_of(options.runs_dir, options.study)
    while True:
        jobs = slurm.read(study)
        if jobs.silence:
            print(jobs.describe_silence(), flush=True)
        waiting = jobs.may_change or (not jobs.silence and any_held_back(jobs.found))
        if not (options.follow and waiting):
            break
        time.sleep(EVERY_S)
        if not jobs.silence:
            sending.submit_held_back(study, print)
    attempts = list(folder.newest_of_study(study))
    publish(
        [attempt for attempt, one in zip(attempts, jobs.found, strict=True) if not one.state.active]
    )
    draw(attempts, options.runs_dir)
    return say_what_is_missing(jobs.found)


def any_held_back(found: Sequence[Status]) -> bool:
    """Whether a job is still to be submitted."""
    return any(one.state.waits_for_room for one in found)


def publish(attempts: Sequence[Attempt]) -> None:
    """Take to MLflow what was measured; a run that is there already stays one."""
    for attempt in attempts:
        run, intent = attempt.run, attempt.intent
        if run and run.has(names.POINTS) and intent.publish:
            publish_to_mlflow(run, intent.tracking_uri)
            print(f"published {intent.title}: {run.path}")


def draw(attempts: Sequence[Attempt], runs_dir: Path) -> None:
    """Draw the figures of the study from what is published of it."""
    intents = [attempt.intent for attempt in attempts if attempt.intent.publish]
    wanted = {(name, it.tracking_uri, it.study) for it in intents for name in it.figures}
    for name, uri, study in sorted(wanted):
        try:
            for path in views.draw(name, uri, study, runs_dir / "figures").files:
                print(f"figure: {path}")
        except ErError as error:
            print(f"no {name} yet: {error}")


def say_what_is_missing(found: Sequence[Status]) -> int:
    """1 when a job has ended without all that it was to measure; invalid points are named."""
    code = 0
    for one in found:
        if one.invalid:
            print(f"{one.title}: {describe_invalid(one.invalid)}")
        if one.state is State.finished:
            continue
        detail = f" ({one.detail})" if one.detail else ""
        print(f"{one.title}: {one.state.value}{detail}")
        if not one.state.active:
            code = 1
            if one.log and one.log.exists():
                print(f"    {one.log}: {one.last_line()}")
    return code


if __name__ == "__main__":
    sys.exit(cli.run("er.collect", main, "what was published is in MLflow, the rest is not"))
