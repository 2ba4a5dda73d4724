"""`python -m er.status [STUDY]`: how the jobs of a study stand."""

import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

from er import cli
from er.cluster import folder, laptop, slurm
from er.cluster.base import Status
from er.cluster.slurm import Jobs
from er.results import names, terminal
from er.results.point import describe_invalid

ALL_COLUMNS_FIT = 160  # characters: programs read a row of a job as one line
WATCH_EVERY_S = 10.0
HEADINGS = (
    "job", "deployment", "concurrency", "state", "points", "requests", "errors", "node", "left",
)  # fmt: skip
ALWAYS = 3  # the first of them are columns however narrow the terminal is
DEPLOYMENT_AT_LEAST = 8
GAP = "  "
NONE = "-"


def main() -> int:
    """Show the jobs of a study that was handed to a cluster, or the runs of one that was not."""
    parser = cli.parser("er.status", main.__doc__)
    parser.add_argument("study", nargs="?", default="", help="the one submitted last, if unsaid")
    parser.add_argument(
        "--runs-dir", type=Path, default=Path(folder.RUNS_DIR), help="as runs_dir of er.run"
    )
    parser.add_argument("--watch", action="store_true", help="show it again until no job is left")
    options = parser.parse_args()
    width = terminal.width() or ALL_COLUMNS_FIT
    while True:
        jobs = read(options.runs_dir, options.study)
        print("\n".join(lines_of(jobs.found, width)), flush=True)
        if jobs.silence:
            terminal.say(jobs.describe_silence())
        if not options.watch or not jobs.may_change:
            return 0
        time.sleep(WATCH_EVERY_S)


def read(runs_dir: Path, study: str) -> Jobs:
    """The status of each job on a cluster; without any, of each run on this machine."""
    here = runs_dir / study
    if study and not (here / folder.JOBS).exists() and list(here.glob(f"*/{names.RECORD}")):
        return Jobs(laptop.status(here))
    return slurm.read(folder.study_of(runs_dir, study))


def lines_of(found: Sequence[Status], width: int) -> list[str]:
    """A row for each job in as many columns as there is room for, the others below it with what is
    wrong and the last line of its log."""
    rows = [cells_of(one) for one in found]
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    count = ALWAYS
    while count < len(widths) and sum(widths[: count + 1]) + len(GAP) * count <= width:
        count += 1
    too_wide = sum(widths[:count]) + len(GAP) * (count - 1) - width
    if too_wide > 0:
        widths[1] = max(widths[1] - too_wide, DEPLOYMENT_AT_LEAST)
    lines = row(HEADINGS[:count], widths)
    shown: dict[str, Status] = {}  # by each reason, the first job that has it
    for one, cells in zip(found, rows, strict=True):
        lines += row(cells[:count], widths)
        others = zip(HEADINGS[count:], cells[count:], strict=True)
        below = ", ".join(f"{name} {cell}" for name, cell in others if cell != NONE)
        reasons = [describe_invalid(one.invalid), one.last_line()]
        for text in (below, *[reason_of(reason, one, shown) for reason in reasons]):
            lines += terminal.wrap(f"    {text}", width, continued="", fold=True) if text else []
    return lines


def reason_of(reason: str, one: Status, shown: dict[str, Status]) -> str:
    """The reason, or the job above that has the same one."""
    first = shown.setdefault(reason, one)
    if not reason or first is one:
        return reason
    return f"as job {first.job_id}" if first.job_id else f"as {first.title}"


def cells_of(one: Status) -> list[str]:
    """What the columns say of a job; requests and errors are those that it measured itself."""
    points, own = one.points, one.own_points
    most = max((point.concurrency for point in points if not point.invalid), default=0)
    measures = one.ladder or points  # a job that builds does not
    return [
        one.job_id or NONE,
        one.title,
        f"up to {most}{f' of {max(one.ladder)}' if one.ladder else ''}" if measures else NONE,
        f"{one.state.value}{f' ({one.detail})' if one.detail else ''}",
        f"{len(points)}{f' of {len(one.ladder)}' if one.ladder else ''}" if measures else NONE,
        str(sum(point.requests for point in own)) if measures else NONE,
        str(sum(point.errors for point in own)) if measures else NONE,
        one.node or NONE,
        one.left or NONE,
    ]


def row(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The lines of a row; a deployment's name takes as many as it needs."""
    name = textwrap.wrap(cells[1], widths[1]) or [""]
    lines = [[cells[0], name[0], *cells[2:]], *([["", more] for more in name[1:]])]
    return [
        GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)).rstrip()
        for line in lines
    ]


if __name__ == "__main__":
    sys.exit(cli.run("er.status", main, "the jobs go on"))
