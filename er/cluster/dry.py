"""`dry=true`: print the scripts, and say on stderr what of them would be refused."""

import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from er.cluster import folder, inputs, partition
from er.cluster.prepare import command_scripts, scripts
from er.cluster.script import MEASURE
from er.cluster.submit import say_load
from er.config.run import IN_CONTAINER
from er.errors import ConfigError, ErError
from er.results.words import count_of

if TYPE_CHECKING:
    from er.compose import Job


REFUSED = "would be refused"


def show(jobs: Sequence["Job"], action: str = MEASURE, resume: bool = True) -> None:
    """Print what would be submitted; nothing is written, and nothing submitted."""
    printed = scripts(jobs) if action == MEASURE else command_scripts(jobs, action)
    print("\n".join(printed), flush=True)
    if action == MEASURE:
        say_load(jobs, note)
    found = list(dict.fromkeys(line for job in jobs for line in problems(job, action)))
    for line in found:
        note(line)
    if any(line.startswith(REFUSED) for line in found):
        note("only printed: without dry=true nothing would be submitted, for the reasons above")
        return
    looked_at = jobs if action == MEASURE and resume else []
    there = [place for job in looked_at if (place := measured_in(job))]
    for place in there:
        note(f"measured already, so that no job is needed: {place}")
    count = count_of(len(printed) - len(there), "job")
    note(f"only printed: without dry=true {count} would be submitted")


def measured_in(job: "Job") -> Path | None:
    """Where all of it is measured already, as far as that can be told without the job's node."""
    if job.config.engine.kind in IN_CONTAINER:
        return None
    from er.study.job import place_of_all

    try:
        return place_of_all(job.config)
    except ErError:  # such as a file of prompts that is missing
        return None


def problems(job: "Job", action: str) -> list[str]:
    """Why the job would be refused, as far as can be seen here."""
    checks: list[Callable[[], None]] = [partial(inputs.require_shell, job.config)]
    if shutil.which("sinfo"):
        checks.append(partial(partition.require_room, job.config, action))
    if action in (MEASURE, folder.BUILD):
        checks.append(partial(inputs.require_there, job.config))
    found = []
    for check in checks:
        try:
            check()
        except ConfigError as error:
            found.append(f"{REFUSED}: {error}")
        except ErError as error:
            found.append(f"not checked: {error}")
    return found


def note(line: str) -> None:
    """Say it beside the scripts."""
    print(line, file=sys.stderr, flush=True)
