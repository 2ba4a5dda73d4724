"""The table of a ladder, printed row by row, with as many columns as fit."""

from collections.abc import Callable
from typing import NamedTuple

from er.results.point import Point
from er.results.terminal import PLAIN_WIDTH

INDENT = "       "  # of what belongs to the row above


class Column(NamedTuple):
    """One quantity of a point."""

    width: int  # characters, enough for the largest value
    cell: Callable[[Point], str]


COLUMNS: dict[tuple[str, str], Column] = {
    ("concur-", "rency"): Column(7, lambda point: str(point.concurrency)),
    ("", "requests"): Column(8, lambda point: str(point.requests)),
    ("", "errors"): Column(6, lambda point: str(point.errors)),
    ("TTFT", "p50 ms"): Column(8, lambda point: f"{point.ttft_s.p50 * 1e3:.1f}"),
    ("TTFT", "p95 ms"): Column(8, lambda point: f"{point.ttft_s.p95 * 1e3:.1f}"),
    ("TPOT", "p50 ms"): Column(7, lambda point: f"{point.tpot_s.p50 * 1e3:.1f}"),
    ("TPOT", "p95 ms"): Column(7, lambda point: f"{point.tpot_s.p95 * 1e3:.1f}"),
    ("ITL", "p99 ms"): Column(7, lambda point: f"{point.itl_s.p99 * 1e3:.1f}"),
    ("E2E", "p50 s"): Column(6, lambda point: f"{point.e2e_s.p50:.2f}"),
    ("tokens", "/s"): Column(7, lambda point: f"{point.tokens_per_s:.0f}"),
    ("", "goodput"): Column(7, lambda point: f"{point.goodput:.1%}"),
    ("", "CPU"): Column(5, lambda point: f"{point.client['cpu_share']:.0%}"),
    ("", "valid"): Column(5, lambda point: "NO" if point.invalid else "yes"),
}
# Columns that are left out, in this order, in a narrow terminal: digits are never cut.
DISPENSABLE = (
    ("", "CPU"),
    ("", "requests"),
    ("", "errors"),
    ("", "goodput"),
    ("TPOT", "p95 ms"),
    ("ITL", "p99 ms"),
    ("TTFT", "p95 ms"),
    ("E2E", "p50 s"),
)


class Table:
    """A heading and rows of at most `width` characters."""

    def __init__(self, width: int = PLAIN_WIDTH) -> None:
        names = list(COLUMNS)
        for name in DISPENSABLE:
            if sum(COLUMNS[name].width + 1 for name in names) - 1 <= width:
                break
            names.remove(name)
        self._names = names

    def heading(self) -> list[str]:
        """Its two lines."""
        return [self._line([name[part] for name in self._names]) for part in (0, 1)]

    def row(self, point: Point) -> str:
        """One point."""
        return self._line([COLUMNS[name].cell(point) for name in self._names])

    def _line(self, cells: list[str]) -> str:
        widths = [COLUMNS[name].width for name in self._names]
        line = " ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        return line.rstrip()
