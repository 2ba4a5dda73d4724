"""`python -m er.diff RUN RUN`: what differs between two runs, and by how much their figures do."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from er import cli
from er.errors import ConfigError, ErError
from er.results.labels import flatten
from er.results.point import Point
from er.results.run_dir import RunDir

WORDS = {"uri": "sqlite:///runs/mlflow.db"}
PLACES = ("command", "runs_dir", "cache_dir", "tracking.")  # where, not what
HELP = """usage: python -m er.diff RUN RUN [uri=URI]

Say what differs between two runs: configuration, code, packages, machine; and the ratio of their
figures at each concurrency that both have.

  RUN       a run directory, or an MLflow run; the first digits of its id are enough
  uri=URI   the MLflow store (default: sqlite:///runs/mlflow.db)"""


def main() -> int:
    """Compare and print; the exit code."""
    return cli.run("er.diff", lambda: answer(sys.argv[1:]))


def answer(arguments: Sequence[str]) -> int:
    """Do what the command line asks. Raises ErError where there is no such run."""
    if {"-h", "--help"} & set(arguments):
        print(f"{HELP}\n\nExit codes: {cli.EXIT_CODES}")
        return 0
    names, words = cli.read_words(arguments, WORDS)
    if len(names) != 2:
        raise ConfigError("give two runs; see --help")
    first, second = (folder_of(name, words["uri"]) for name in names)
    out = Console(width=None if sys.stdout.isatty() else 120)
    differing = list(settings_apart(first, second))
    table = Table("", *names, box=box.SIMPLE_HEAD, title="What differs", title_justify="left")
    for row in differing:
        table.add_row(*row)
    out.print(table if differing else "configuration and provenance are the same")
    out.print(ratios(first, second))
    return 0


def folder_of(name: str, uri: str) -> RunDir:
    """A run's files, on disk or in MLflow. Raises ErError where there are none."""
    path = Path(name)
    if path.is_dir():
        if not (path / "run.json").exists():
            raise ErError(f"{path} is no run directory: it has no run.json")
        return RunDir(path)
    from er.tracking import query

    return RunDir(query.pinned(uri, [name])[0].files)


def settings_apart(first: RunDir, second: RunDir) -> Iterator[tuple[str, str, str]]:
    """Name, and both values, of whatever differs."""
    for group, file in (("", "config.json"), ("provenance.", "provenance.json")):
        values = [dict(flatten(_read(run, file))) for run in (first, second)]
        for name in sorted({*values[0], *values[1]}):
            if name.startswith(PLACES):
                continue
            one, other = (str(value.get(name, "-")) for value in values)
            if one != other:
                yield f"{group}{name}", one, other


def ratios(first: RunDir, second: RunDir) -> Table:
    """The second run's figures over the first's, at each concurrency that both have."""
    points = [{point.concurrency: point for point in run.points()} for run in (first, second)]
    result = Table(
        "concurrency", "TTFT p50", "TTFT p95", "TPOT p50", "E2E p50", "tokens/s", "valid",
        box=box.SIMPLE_HEAD, title="Second over first", title_justify="left",
    )  # fmt: skip
    for concurrency in sorted({*points[0]} & {*points[1]}):
        one, other = points[0][concurrency], points[1][concurrency]
        valid = "no" if one.invalid or other.invalid else "yes"
        pairs = zip(_figures(one), _figures(other), strict=True)
        result.add_row(str(concurrency), *[f"{b / a:.3f}" if a else "-" for a, b in pairs], valid)
    return result


def _figures(point: Point) -> tuple[float, ...]:
    ttft = point.ttft_s
    return ttft.p50, ttft.p95, point.tpot_s.p50, point.e2e_s.p50, point.tokens_per_s


def _read(run: RunDir, file: str) -> dict[str, Any]:
    path = run.path / file
    values: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return values


if __name__ == "__main__":
    sys.exit(main())
