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


def test_a_long_sweep_ends_with_one_line_for_each_run(
    config: Config, finished_run: Callable[..., RunDir], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary, "POINTS_SHOWN", 3)
    monkeypatch.setattr(summary, "RUNS_NAMED", 1)
    runs = [finished_run(config), finished_run(config)]
    console = Console(width=200, record=True, file=io.StringIO())
    summary.show(runs, console)
    text = console.export_text()
    rows = [line.split() for line in text.splitlines() if line.split()[:1] == ["A"]]
    assert [row[:4] for row in rows] == [["A", "INT8", "TP4", "1"]] * 2  # 2 users: invalid
    assert "of each run the highest valid concurrency" in text
    assert text.count("invalid: A, 2 users") == text.count("(2 runs)") > 0
    assert f"run directories: 2 in {runs[0].path.parent}" in text
