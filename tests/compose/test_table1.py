"""Table I shows the origin of each value, and is always written by the command."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from er import compose, table1
from er.errors import ErError
from er.results.marked import replace_between

DOCS = Path(__file__).parents[2] / "docs/figures.md"


def row(*overrides: str) -> list[str]:
    return table1.cells(compose.plan(list(overrides))[0])


def test_every_cell_has_its_label() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    table1.show([row("deployment=c"), row("deployment=d")], console)
    c, d = [line for line in console.export_text().splitlines() if "llama3" in line]
    assert "fp16 [unknown]" in c
    assert "8 [inferred]" in c
    assert "int8 [inferred]" in d
    assert "Expert Router" in d


def test_a_narrow_terminal_gets_a_line_for_each_fact() -> None:
    console = Console(width=46, record=True, file=io.StringIO())
    table1.show([row("deployment=c")], console)
    lines = console.export_text().splitlines()
    assert lines[0] == "C  baseline"
    assert "   model: llama3_70b [paper]" in lines
    assert max(map(len, lines)) <= 46


def test_memory_follows_from_the_configuration() -> None:
    weights, tokens = row("deployment=a")[-2:]
    assert weights == "72.7 GB [project]"  # 70.55e9 parameters, 2.1e9 of them in 16 bits
    four, eight = (
        int(row("deployment=b", f"deployment.tp={tp}")[-1].split()[0].replace(",", ""))
        for tp in (4, 8)
    )
    assert eight > 2 * four
    assert row("deployment=b", "deployment.tp=1")[-1] == "does not fit h100_sxm [project]"
    assert tokens != row("deployment=a", "hardware=h200_sxm")[-1]


def test_a_cell_without_a_label_is_labelled_project() -> None:
    config = compose.plan(["deployment=a"])[0]
    config.deployment.labels = {}
    assert all(cell.endswith(" [project]") for cell in table1.cells(config)[2:])


def test_the_table_in_the_documentation_is_up_to_date(tmp_path: Path) -> None:
    copy = tmp_path / "figures.md"
    copy.write_text(DOCS.read_text())
    rows = table1.markdown([table1.cells(config) for config in table1.configured()])
    replace_between(copy, table1.BEGIN, table1.END, rows)
    assert copy.read_text() == DOCS.read_text()
    assert "| A | baseline | llama3_70b [paper] |" in DOCS.read_text()


def test_a_file_without_the_marker_lines_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "x.md").write_text("text")
    with pytest.raises(ErError, match="has no place for it"):
        replace_between(tmp_path / "x.md", table1.BEGIN, table1.END, "table")
    assert (tmp_path / "x.md").read_text() == "text"
