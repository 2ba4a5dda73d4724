"""The table that er.load prints, on terminals of several widths."""

from dataclasses import replace

import pytest

from er.load.table import Table
from er.results.point import Point, Summary, measure
from tests.unit.load.fakes import load


def large() -> Point:
    """A point with the longest numbers that occur."""
    point = measure([], 1_048_576, load(), client={"cpu_share": 11.92})
    slow = Summary(count=9, p50=999.9999, p95=999.9999)
    step = Summary(count=9, p50=9.9999, p95=9.9999, p99=9.9999)
    return replace(
        point, requests=10_485_760, errors=999_999, ttft_s=slow, tpot_s=step, itl_s=step,
        e2e_s=Summary(count=9, p50=999.99), tokens_per_s=9_999_999.0, goodput=1.0,
    )  # fmt: skip


@pytest.mark.parametrize(("width", "columns"), [(46, 6), (60, 7), (80, 10), (100, 13)])
def test_no_digit_is_cut_whatever_the_width(width: int, columns: int) -> None:
    table = Table(width)
    lines = [*table.heading(), table.row(large())]
    assert max(map(len, lines)) <= width
    cells = lines[2].split()
    assert len(cells) == columns
    assert cells[0] == "1048576"
    assert "9999999" in cells
    assert lines[1].split()[-1] == "valid"


def test_columns_stay_below_their_headings() -> None:
    table = Table(80)
    upper, lower = table.heading()
    assert upper.index("tokens") + len("tokens") == lower.index("/s") + len("/s")
    assert len(lower) == len(table.row(large()))
