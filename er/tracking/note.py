"""The description of a run: what it is, how it was made, its points, and how to run it again."""

import math
import shlex
from pathlib import Path
from typing import Any

from er.config.title import title
from er.results.point import Point
from er.results.words import count_of

TAG_LENGTH = 8000  # MLflow takes no more
REASONS_SHOWN = 20
ENERGY = "gpu_energy_per_token_j"
COLUMNS = (
    "concurrency",
    "TTFT p50 ms",
    "TTFT p95 ms",
    "TPOT p50 ms",
    "E2E p50 s",
    "tokens/s",
    "requests",
    "valid",
)


def note(name: str, config: dict[str, Any], command: list[str], points: list[Point]) -> str:
    """Markdown of 8,000 characters at most: the points in the middle give way first."""
    what = [f": {title(config)}"] if "deployment" in config else []
    head = ["".join([f"**{name}**", *what]), "", *_made_by(config), ""]
    tail = _list("Invalid points:", [(p, reason) for p in points for reason in p.invalid])
    tail += _list("To know of points:", [(p, remark) for p in points for remark in p.notes])
    if command:
        tail += ["", "Run it again:", "", f"```\n{command_line(command)}\n```"]
    rows = list(map(_row, points))
    table = _table(rows)
    while rows and len("\n".join([*head, *table, *tail])) > TAG_LENGTH:
        rows.pop()
        table = [*_table(rows), "", f"{len(points) - len(rows)} more points are in points.csv."]
    return "\n".join([*head, *table, *tail])[:TAG_LENGTH]


def _list(heading: str, remarks: list[tuple[Point, str]]) -> list[str]:
    lines = [f"- {count_of(p.concurrency, 'user')}: {remark}" for p, remark in remarks]
    more = len(lines) - REASONS_SHOWN
    shown = lines[:REASONS_SHOWN] + ([f"- {more} more in points.json"] if more > 0 else [])
    return ["", heading, "", *shown] if lines else []


def command_line(command: list[str]) -> str:
    """`sys.argv` of a command of er as it is typed."""
    return shlex.join(["python", "-m", module_of(command[0]), *command[1:]])


def module_of(program: str) -> str:
    """The module that `python -m` started, from the path in `sys.argv`."""
    parts = list(Path(program).with_suffix("").parts)
    names = parts[parts.index("er") :] if "er" in parts[-3:] else parts[-1:]
    while "er" in names[1:]:
        names = names[names.index("er", 1) :]
    return ".".join(name for name in names if name != "__main__")


def csv(points: list[Point]) -> str:
    """The same table for every point; with the energy of the GPUs where that is known."""
    rows = [COLUMNS, *map(_row, points)]
    energies = [point.client.get(ENERGY) for point in points]
    if any(energies):
        cells = ["J per token", *("" if one is None else f"{one:.3g}" for one in energies)]
        rows = [(*row, cell) for row, cell in zip(rows, cells, strict=True)]
    return "\n".join(",".join(cells) for cells in rows) + "\n"


def _made_by(config: dict[str, Any]) -> list[str]:
    clock, engine = config.get("clock", {}).get("kind", "real"), config.get("engine", {})
    kind = engine.get("kind", "external")
    how = "predicted on a virtual clock" if clock == "virtual" else "measured at the client"
    hardware = config.get("hardware", {}).get("name", "")
    lines = [
        f"- engine: {kind}{' (no real model answered)' if kind == 'simulated' else ''}, {how}",
        f"- workload: {config['workload']['description']}; load: {config['load']['name']}; "
        f"seed {config['seed']}",
    ]
    return [*lines, f"- node type: {hardware}"] if hardware else lines


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    lines = [COLUMNS, tuple("---:" for _ in COLUMNS), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _row(point: Point) -> tuple[str, ...]:
    numbers = (
        (point.ttft_s.p50 * 1e3, "{:.1f}"),
        (point.ttft_s.p95 * 1e3, "{:.1f}"),
        (point.tpot_s.p50 * 1e3, "{:.2f}"),
        (point.e2e_s.p50, "{:.2f}"),
        (point.tokens_per_s, "{:.0f}"),
    )
    shown = ["" if math.isnan(value) else form.format(value) for value, form in numbers]
    valid = "no" if point.invalid else "yes"
    return (str(point.concurrency), *shown, str(point.requests), valid)
