"""What the log of a job says last."""

import re
from pathlib import Path

READ_BYTES = 1 << 16  # from its end

# Lines of Slurm's own, which come after what er said: of steps that are ended and cores that are
# bound. Those that say why something ended are kept.
OF_SLURM = re.compile(r"(srun|slurmstepd|slurmd)[\w.-]*: |cpu-bind=|\s*$")
TELLING = re.compile(
    r"oom|out.of.memory|DUE TO|node fail|not found|no such|denied|no space|couldn't|unable to", re.I
)


def last_telling_line(file: Path) -> str:
    """The last line that tells something; empty without one."""
    if not file.exists():
        return ""
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - READ_BYTES))
        lines = opened.read().decode(errors="replace").splitlines()
    telling = [line for line in lines if not OF_SLURM.match(line) or TELLING.search(line)]
    return (telling or [line for line in lines if line.strip()] or [""])[-1].strip()
