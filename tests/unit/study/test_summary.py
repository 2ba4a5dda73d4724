"""The table a sweep ends with, on terminals of several widths."""

import io
from collections.abc import Callable
from dataclasses import asdict

import pytest
from rich.console import Console

from er.config import Config
from er.results.run_dir import RunDir
from er.study import summary


@pytest.mark.parametrize(
    ("width", "columns"), [(46, 5), (60, 7), (80, 9)], ids=["46 columns", "60", "80"]
)
def test_no_digit_is_cut_whatever_the_width(
    width: int, columns: int, config: Config, finished_run: Callable[..., RunDir]
) -> None:
    run = finished_run(config)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(summary.table([run], console))
    text = console.export_text()
    [row] = [line.split() for line in text.splitlines() if line.split()[:1] == ["A"]]

    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    point = run.points()[0]
    assert row[:3] == ["A", str(point.concurrency), f"{point.ttft_s.p50 * 1e3:.1f}"]
    assert row[-1] == "yes"
    assert len(row) == 1 + columns


def test_what_is_to_be_known_of_a_point_is_said(
    config: Config, finished_run: Callable[..., RunDir]
) -> None:
    run = finished_run(config)
    first, second = run.points()
    first.notes.append("1 time the server was too busy")
    run.write("points.json", [asdict(first), asdict(second)])
    console = Console(width=80, record=True, file=io.StringIO())
    summary.show([run], console)
    assert "note: A, 1 user: 1 time the server was too busy\n" in console.export_text()
