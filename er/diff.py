"""`python -m er.diff RUN RUN`: what differs between two runs, and by how much their figures do."""

import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from er import cli
from er.errors import ConfigError
from er.results import names, terminal
from er.results.fitting import fitting
from er.results.labels import flatten
from er.results.point import Point
from er.results.run_dir import RunDir

WORDS = {"uri": "sqlite:///runs/mlflow.db"}
# Where, not what.
PLACES = ("command", "runs_dir", "cache_dir", "tracking.", "provenance.command", "engine.cache_dir")
# What a difference belongs to, by how its name begins.
GROUPS = {
    "code": ("provenance.git_", "provenance.frozen", "provenance.packages.er"),
    "packages": ("provenance.packages.", "provenance.python"),
    "GPU": ("provenance.gpu_name", "provenance.gpu_memory", "hardware."),
    "driver": ("provenance.gpu_driver",),
    "container": ("engine.container.",),
    "load generator": (
        "load.",
        "workload.",
        "corpus.",
        "cluster.load_node",
        "provenance.load_node",
    ),
    "host": ("provenance.", "cluster."),
}
OTHERWISE = "configuration"
FURTHER = "   "  # below the first letter of a value
RATIOS = ("concur-\nrency", "fig4\nTTFT p50", "\nTTFT p95", "fig5\nTPOT p50", "fig6\ntokens/s",
          "\nper GPU", "fig7\nE2E p50", "valid")  # fmt: skip
DISPENSABLE = ("\nTTFT p95", "\nper GPU", "fig7\nE2E p50")  # where a terminal is narrow
HELP = """usage: python -m er.diff RUN RUN [uri=URI]

Say what differs between two runs: code, packages, GPU, driver, container, load generator, host,
configuration; and the ratio of what each figure shows, at each concurrency that both have.

  RUN       a run directory, or an MLflow run; the first digits of its id are enough
  uri=URI   the MLflow store (default: sqlite:///runs/mlflow.db)"""


def main() -> int:
    """Compare and print; the exit code."""
    return cli.run("er.diff", lambda: answer(sys.argv[1:]))


def answer(arguments: Sequence[str]) -> int:
    """Do what the command line asks. Raises ErError where there is no such run."""
    if {"-h", "--help"} & set(arguments):
        terminal.say_help(HELP, cli.EXIT_CODES)
        return 0
    given, words = cli.read_words(arguments, WORDS)
    if len(given) != 2:
        raise ConfigError("give two runs; see --help")
    first, second = (folder_of(name, words["uri"]) for name in given)
    out = terminal.console()
    differing = list(settings_apart(first, second))
    compared = ratios(
        first, second, RATIOS
    ).rows  # before anything is printed: files may be damaged
    print("\n".join(described(differing, given, terminal.width())))
    if compared:
        out.print(fitting(lambda columns: ratios(first, second, columns), RATIOS, DISPENSABLE, out))
    else:
        out.print("no concurrency has a point in both runs")
    return 0


def folder_of(name: str, uri: str) -> RunDir:
    """A run's files, on disk or in MLflow. Raises ConfigError where there are none."""
    path = Path(name)
    if path.is_dir():
        if not (path / "run.json").exists():
            raise ConfigError(f"{path} is no run directory: it has no run.json")
        return RunDir(path)
    if path.exists() or path.name != name:
        raise ConfigError(f"{name} is no run directory, which is a folder")
    from er.tracking import pins, query

    return RunDir(query.pinned(uri, [pins.run_id(name)])[0].files)


def described(
    differing: Sequence[tuple[str, str, str, str]], given: Sequence[str], width: int | None
) -> list[str]:
    """Both values of whatever differs: on one line where they fit, else one below the other."""
    if not differing:
        return ["configuration and provenance are the same"]
    lines = ["What differs between"]
    for number, name in enumerate(given, 1):
        lines += terminal.wrap(f"  {number}  {name}", width, FURTHER, fold=True)
    group = ""
    for belongs_to, name, *values in differing:
        if belongs_to != group:
            group = belongs_to
            lines += ["", group]
        together = f"  {name}: {values[0]} | {values[1]}"
        if len(together) <= (width or terminal.PLAIN_WIDTH):
            lines.append(together)
            continue
        lines += terminal.wrap(f"  {name}", width, fold=True)
        for number, value in enumerate(values, 1):
            lines += terminal.wrap(f"    {number}  {value}", width, FURTHER, fold=True)
    return [*lines, ""]


def settings_apart(first: RunDir, second: RunDir) -> Iterator[tuple[str, str, str, str]]:
    """What it belongs to, name, and both values, of whatever differs."""
    sides = [dict(facts(run)) for run in (first, second)]
    found = []
    for name in sorted({*sides[0], *sides[1]}):
        one, other = (str(side.get(name, "-")) for side in sides)
        if one != other and not name.startswith(PLACES):
            found.append((group_of(name), name, one, other))
    return iter(sorted(found, key=lambda row: [*GROUPS, OTHERWISE].index(row[0])))


def facts(run: RunDir) -> Iterator[tuple[str, Any]]:
    """Every setting and fact of a run by name; GPUs by name, memory and driver."""
    yield from flatten(_read(run, names.CONFIG))
    provenance = _read(run, names.PROVENANCE)
    for place, gpu in enumerate(provenance.pop("gpus", [])):
        parts = [part.strip() for part in gpu.split(",")]
        for name, value in zip(("gpu_name", "gpu_memory", "gpu_driver"), parts, strict=False):
            yield f"provenance.{name}.{place}", value
    yield from flatten(provenance, "provenance.")
    for file in (names.ENGINE, names.STEP_TIMES):
        yield from flatten(_read(run, file), f"{Path(file).stem}.")


def group_of(name: str) -> str:
    """What a setting or a fact belongs to."""
    for group, beginnings in GROUPS.items():
        if name.startswith(beginnings):
            return group
    return OTHERWISE


def ratios(first: RunDir, second: RunDir, columns: Sequence[str]) -> Table:
    """The second run's figures over the first's, at each concurrency that both have."""
    points = [{point.concurrency: point for point in run.points()} for run in (first, second)]
    result = Table(box=box.SIMPLE_HEAD, title="Second over first", title_justify="left")
    for heading in columns:
        result.add_column(heading, no_wrap=True)
    gpus = [_gpus(run) for run in (first, second)]
    for concurrency in sorted({*points[0]} & {*points[1]}):
        one, other = points[0][concurrency], points[1][concurrency]
        valid = "no" if one.invalid or other.invalid else "yes"
        pairs = zip(_figures(one, gpus[0]), _figures(other, gpus[1]), strict=True)
        cells = [str(concurrency), *[_ratio(b, a) for a, b in pairs], valid]
        row = dict(zip(RATIOS, cells, strict=True))
        result.add_row(*[row[heading] for heading in columns])
    return result


def _ratio(value: float, to: float) -> str:
    """Three digits; a dash where one of them has no value."""
    return f"{value / to:.3f}" if to and math.isfinite(value / to) else "-"


def _figures(point: Point, gpus: int) -> tuple[float, ...]:
    ttft, tokens_per_s = point.ttft_s, point.tokens_per_s
    per_gpu = tokens_per_s / gpus
    return ttft.p50, ttft.p95, point.tpot_s.p50, tokens_per_s, per_gpu, point.e2e_s.p50


def _gpus(run: RunDir) -> int:
    deployment = _read(run, names.CONFIG).get("deployment", {})
    return int(deployment.get("tp", 1) * deployment.get("experts", 1))


def _read(run: RunDir, file: str) -> dict[str, Any]:
    return dict(run.read(file)) if run.has(file) else {}


if __name__ == "__main__":
    sys.exit(main())
