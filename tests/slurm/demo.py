"""`make slurm-demo`: a real Slurm on this machine, and a study that goes through it.

Two deployments with the real Triton and simulated engines, one after the other on one node, so that
they do not disturb each other; the runs stay in runs/slurm_demo.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from site_of_tests import PROGRAMS, running

from er import cli

STUDY = "slurm_demo"
SEED = 1  # none of `make demo`, whose runs would be taken over, so that nothing went through Slurm
COMMANDS = (
    ["er.run", "+experiment=fig4", "deployment=c,e", "load.concurrency=[1,2]", f"study={STUDY}",
     "cluster=slurm", "cluster.sbatch=['--nodelist=n1']", f"seed={SEED}"],
    ["er.status", STUDY],
    ["er.collect", STUDY, "--follow"],
    ["er.status", STUDY],
)  # fmt: skip


def main() -> int:
    """Run it; the exit code of the last command that failed."""
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        print(
            f"{', '.join(missing)} missing: apt-get install slurmctld slurmd slurm-client munge",
            file=sys.stderr,
        )
        return 2
    code = 0
    with tempfile.TemporaryDirectory(prefix="er-slurm-") as folder, running(Path(folder)) as site:
        os.environ.update(site.environment)
        subprocess.run(["sinfo"], check=True)
        for command in COMMANDS:
            print(f"\n$ python -m {shlex.join(command)}", flush=True)
            code = subprocess.run([sys.executable, "-m", *command], check=False).returncode or code
    return code


if __name__ == "__main__":
    sys.exit(cli.run("slurm-demo", main, "Slurm is stopped, what was measured is kept"))
