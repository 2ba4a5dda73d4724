"""`dry=true`: print the scripts, and say on stderr what of them would be refused."""

import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from er.cluster import folder, inputs, partition
from er.cluster.prepare import command_scripts, scripts
from er.cluster.script import MEASURE
from er.cluster.submit import say_load
from er.errors import ConfigError, ErError

if TYPE_CHECKING:
    from er.compose import Job


def show(jobs: Sequence["Job"], action: str = MEASURE) -> None:
    """Print what would be submitted; nothing is written, and nothing submitted."""
    printed = scripts(jobs) if action == MEASURE else command_scripts(jobs, action)
    print("\n".join(printed), flush=True)
    if action == MEASURE:
        say_load(jobs, note)
    for line in dict.fromkeys(line for job in jobs for line in problems(job, action)):
        note(line)
    count = f"{len(printed)} job{'s' if len(printed) > 1 else ''}"
    note(f"only printed: without dry=true {count} would be submitted")


def problems(job: "Job", action: str) -> list[str]:
    """Why the job would be refused, as far as can be seen here."""
    checks: list[Callable[[], None]] = []
    if shutil.which("sinfo"):
        checks.append(partial(partition.require_room, job.config, action))
    if action in (MEASURE, folder.BUILD):
        checks.append(partial(inputs.require_there, job.config))
    found = []
    for check in checks:
        try:
            check()
        except ConfigError as error:
            found.append(f"would be refused: {error}")
        except ErError as error:
            found.append(f"not checked: {error}")
    return found


def note(line: str) -> None:
    """Say it beside the scripts."""
    print(line, file=sys.stderr, flush=True)
