"""`python -m er.status [STUDY]`: how the jobs of a study stand."""

import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from er import cli
from er.cluster import folder, laptop, slurm
from er.cluster.base import Status
from er.results import names

PLAIN_WIDTH = 160
WATCH_EVERY_S = 10.0


def main() -> int:
    """Show the jobs of a study that was handed to a cluster, or the runs of one that was not."""
    parser = cli.parser("er.status", main.__doc__)
    parser.add_argument("study", nargs="?", default="", help="the one submitted last, if unsaid")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="as runs_dir of er.run")
    parser.add_argument("--watch", action="store_true", help="show it again until no job is left")
    options = parser.parse_args()
    while True:
        found = statuses(options.runs_dir, options.study)
        show(found)
        if not options.watch or not any(one.state.active for one in found):
            return 0
        time.sleep(WATCH_EVERY_S)


def statuses(runs_dir: Path, study: str) -> list[Status]:
    """The status of each job on a cluster; without any, of each run on this machine."""
    here = runs_dir / study
    if study and not (here / folder.JOBS).exists() and list(here.glob(f"*/{names.RECORD}")):
        return laptop.status(here)
    return slurm.status(folder.study_of(runs_dir, study))


def show(found: list[Status]) -> None:
    """A row for each job."""
    table = Table(box=None, pad_edge=False)
    for name in ("job", "state", "deployment", "concurrency", "requests", "errors", "node", "left"):
        table.add_column(name, no_wrap=name != "deployment")
    table.add_column("last line", overflow="ellipsis", no_wrap=True)
    for one in found:
        points = one.run.points() if one.run else []
        reached = f"{max(one.reached, default=0)} of {max(one.ladder)}"
        state = f"{one.state.value}{f' ({one.detail})' if one.detail else ''}"
        table.add_row(
            one.job_id or "-",
            state,
            one.title,
            reached,
            str(sum(point.requests for point in points)),
            str(sum(point.errors for point in points)),
            one.node or "-",
            one.left or "-",
            one.last_line(),
        )
    Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(cli.run("er.status", main, "the jobs go on"))
