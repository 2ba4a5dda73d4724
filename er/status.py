"""`python -m er.status [STUDY]`: how the jobs of a study stand."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from er import cli
from er.cluster import folder, laptop, slurm
from er.cluster.base import Status
from er.results import names
from er.results.fitting import fitting

PLAIN_WIDTH = 160
WATCH_EVERY_S = 10.0
COLUMNS = ("job", "state", "deployment", "concurrency", "requests", "errors", "node", "left",
           "last line")  # fmt: skip
DISPENSABLE = ("last line", "node", "left", "requests", "errors", "job")  # in this order
FOLDED = ("state", "deployment")
FOLDED_WIDTH = 12  # at least
LAST_LINE_WIDTH = 40


def main() -> int:
    """Show the jobs of a study that was handed to a cluster, or the runs of one that was not."""
    parser = cli.parser("er.status", main.__doc__)
    parser.add_argument("study", nargs="?", default="", help="the one submitted last, if unsaid")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="as runs_dir of er.run")
    parser.add_argument("--watch", action="store_true", help="show it again until no job is left")
    options = parser.parse_args()
    while True:
        found = statuses(options.runs_dir, options.study)
        show(found, Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False))
        if not options.watch or not any(one.state.active for one in found):
            return 0
        time.sleep(WATCH_EVERY_S)


def statuses(runs_dir: Path, study: str) -> list[Status]:
    """The status of each job on a cluster; without any, of each run on this machine."""
    here = runs_dir / study
    if study and not (here / folder.JOBS).exists() and list(here.glob(f"*/{names.RECORD}")):
        return laptop.status(here)
    return slurm.status(folder.study_of(runs_dir, study))


def show(found: list[Status], out: Console) -> None:
    """A row for each job, in as many columns as fit; where one has no room, what is long folds."""
    rows = [cells(one) for one in found]
    out.print(fitting(lambda columns: table(rows, columns), COLUMNS, DISPENSABLE, out))


def table(rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> Table:
    """These columns of the rows."""
    result = Table(box=None, pad_edge=False)
    for name in columns:
        if name == "last line":
            result.add_column(name, overflow="ellipsis", no_wrap=True, max_width=LAST_LINE_WIDTH)
        else:
            folds = name in FOLDED
            width = FOLDED_WIDTH if folds else None
            result.add_column(name, overflow="fold", no_wrap=not folds, min_width=width)
    for row in rows:
        result.add_row(*[escape(row[name]) for name in columns])
    return result


def cells(one: Status) -> dict[str, str]:
    """A job by column."""
    points = one.run.points() if one.run else []
    return {
        "job": one.job_id or "-",
        "state": f"{one.state.value}{f' ({one.detail})' if one.detail else ''}",
        "deployment": one.title,
        "concurrency": f"{max(one.reached, default=0)} of {max(one.ladder)}",
        "requests": str(sum(point.requests for point in points)),
        "errors": str(sum(point.errors for point in points)),
        "node": one.node or "-",
        "left": one.left or "-",
        "last line": one.last_line(),
    }


if __name__ == "__main__":
    sys.exit(cli.run("er.status", main, "the jobs go on"))
