"""Calls of Slurm's programs: each with a time limit, and with a message where it fails."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence

from er.errors import ErError

SILENT = ("timed out", "Unexpected message received", "Zero Bytes were transmitted")


# Where a site, an account or a user may have no more jobs: AssocMaxSubmitJobLimit, for example. The
# first makes sbatch try for minutes. The line that follows, of a job that violates a policy, is the
# same for limits of size and time, which no waiting changes.
LIMITS = re.compile(
    r"temporarily unable to accept job|Resource temporarily unavailable|\w*SubmitJob\w*Limit"
)
SHOWN_LINES = 2
PREFIXES = (
    "SLURM_", "SBATCH_", "SALLOC_", "SRUN_", "SQUEUE_", "SINFO_", "SCANCEL_", "SCONTROL_",
)  # fmt: skip


class LimitError(ErError):
    """Slurm takes no more jobs now."""


class NoAnswerError(ErError):
    """Slurm did not answer: whether it did what was asked for is not known."""


def call(command: Sequence[str], timeout_s: float) -> str:
    """What a program of Slurm prints.

    Raises NoAnswerError when it gives no answer in time, LimitError when no more jobs are taken
    now, ErError when it is missing or refuses.
    """
    if not shutil.which(command[0]):
        raise ErError(
            f"{command[0]} is not on the path: run er on a login node, or choose cluster=laptop"
        )
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=environment(),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        output = (error.stderr or b"").decode(errors="replace")
        require_within_limits(command[0], output)
        raise NoAnswerError(
            f"{command[0]} gives no answer within {timeout_s:g} s: look at Slurm's controller with "
            "scontrol ping, or raise cluster.answer_timeout_s"
        ) from error
    if done.returncode == 0:
        return done.stdout
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    reason = "; ".join(lines[-SHOWN_LINES:]) or f"exit status {done.returncode}, without a word"
    require_within_limits(command[0], done.stderr)
    if any(words in done.stderr for words in SILENT):
        raise NoAnswerError(f"{command[0]} has no answer from Slurm's controller: {reason}")
    raise ErError(f"{command[0]} refuses: {reason}")


def require_within_limits(program: str, output: str) -> None:
    """Raise LimitError when a program of Slurm says that no more jobs are taken now."""
    for line in output.splitlines():
        if LIMITS.search(line):
            raise LimitError(f"{program}: Slurm takes no more jobs now ({line.strip()})")


def environment() -> dict[str, str]:
    """The environment without the variables that change what Slurm's programs do or print.

    Those of an allocation that er runs in would become defaults of sbatch; SBATCH_PARTITION and
    the like take precedence over the script; SQUEUE_FORMAT and the like change what er parses.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(PREFIXES) or name == "SLURM_CONF"
    }
