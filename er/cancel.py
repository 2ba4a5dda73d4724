"""`python -m er.cancel STUDY`: cancel the jobs of a study; what they measured is kept.

Requests in flight may end, for at most cluster.finish_requests_s; the same command again, or --now,
ends them at once.
"""

import sys
from pathlib import Path

from er import cli
from er.cluster import folder, slurm
from er.results import terminal


def main() -> int:
    """Cancel, by their ids, the jobs of a study that are queued or running."""
    parser = cli.parser("er.cancel", main.__doc__)
    parser.add_argument("study", help="its name")
    parser.add_argument(
        "--runs-dir", type=Path, default=Path(folder.RUNS_DIR), help="as runs_dir of er.run"
    )
    parser.add_argument("--now", action="store_true", help="end requests in flight too")
    options = parser.parse_args()
    study = folder.study_of(options.runs_dir, options.study)
    if not slurm.cancel(study, terminal.say, options.now):
        terminal.say(f"no job of {options.study} is queued or running")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run("er.cancel", main, "look with er.status at what was cancelled"))
