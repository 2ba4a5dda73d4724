"""What is on disk of a job before it is submitted: its configuration and its script."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from er.cluster import builds, folder
from er.cluster.folder import Attempt, Intent
from er.cluster.script import MEASURE, PURPOSES, Places, render
from er.cluster.sending import Submission
from er.config import Config, SlurmCluster

if TYPE_CHECKING:
    from er.compose import Job


def prepare(job: "Job", code: Path, resume: bool) -> Submission:
    """The submission of a job that measures."""
    attempt, intent = folder.prepare(job, folder.place_of(job.config), job.config.title)
    return written(attempt, intent, job.config, code, command(attempt.path, resume))


def prepare_command(job: "Job", code: Path, action: str, title: str) -> Submission:
    """The submission of a job that builds an engine, or looks at the node; no load is sent."""
    place = folder.place_of_command(job.config, action)
    attempt, intent = folder.prepare(job, place, title)
    intent = replace(intent, ladder=[], figures=[], publish=False)  # nothing is measured
    line = build_command(attempt.path, action)
    return written(attempt, intent, job.config, code, line, action)


def written(
    attempt: Attempt,
    intent: Intent,
    config: Config,
    code: Path,
    line: list[str],
    action: str = MEASURE,
) -> Submission:
    """A new attempt with its script."""
    script = attempt.path / "script.sh"
    there = places_of(attempt.path, code)
    script.write_text(render(config, intent.name, there, line, action))
    return Submission(attempt, intent, script)


@contextmanager
def dropped_unless_sent(submissions: Sequence[Submission]) -> Iterator[None]:
    """Whatever ends the block, nothing stays on disk of those that Slurm was not asked to take."""
    try:
        yield
    finally:
        for one in submissions:
            if not one.attempt.noted:
                shutil.rmtree(one.attempt.path, ignore_errors=True)
                with suppress(OSError):  # there are other attempts
                    one.attempt.path.parent.rmdir()


def scripts(jobs: Sequence["Job"]) -> list[str]:
    """What would be submitted, builds of missing engines first; nothing is written."""
    needed = [job for job in jobs if builds.needed(job.config)]
    missing = {folder.place_of_command(job.config, folder.BUILD): job for job in needed}
    rendered = command_scripts(list(missing.values()), folder.BUILD)
    for job in jobs:
        attempt = folder.place_of(job.config) / "001"
        line = command(attempt, resume=True)
        waits = ", after the job that builds its engine" if job in needed else ""
        purpose = f"{PURPOSES[MEASURE]} {job.config.deployment.id}{waits}"
        there = unwritten(job, attempt)
        rendered.append(render(job.config, "er-UNIQUE", there, line, purpose=purpose))
    return rendered


def command_scripts(jobs: Sequence["Job"], action: str) -> list[str]:
    """What `submit_commands` would submit; nothing is written."""
    rendered = []
    for job in jobs:
        attempt = folder.place_of_command(job.config, action) / "001"
        line = build_command(attempt, action)
        there = unwritten(job, attempt)
        rendered.append(render(job.config, "er-UNIQUE", there, line, action))
    return rendered


def unwritten(job: "Job", attempt: Path) -> Places:
    """The places of a script that is only shown."""
    return places_of(attempt, folder.jobs_dir(job.config) / "code" / "DIGEST")


def places_of(attempt: Path, code: Path) -> Places:
    """Paths as they are here; nodes see the same file system."""
    return Places(attempt, Path(sys.executable), code, Path.cwd())


def command(attempt: Path, resume: bool) -> list[str]:
    """What python does in the job."""
    return ["-m", "er.run", f"job={attempt / 'job.json'}", *([] if resume else ["resume=false"])]


def build_command(attempt: Path, action: str) -> list[str]:
    """What python does in a job that builds an engine, or looks at the node."""
    return ["-m", "er.build", f"job={attempt / 'job.json'}", f"action={action}"]


def settings(config: Config) -> SlurmCluster:
    """The Slurm settings of the site."""
    assert isinstance(config.cluster, SlurmCluster)
    return config.cluster
