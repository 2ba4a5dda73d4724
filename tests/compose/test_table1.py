"""Table I says where each of its values comes from."""

import io

from rich.console import Console

from er import compose
from er.table1 import table


def test_every_cell_has_its_label() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(table([compose.plan([f"deployment={row}"])[0] for row in "cd"]))
    c, d = [line for line in console.export_text().splitlines() if "llama3" in line]
    assert "fp16 [unknown]" in c
    assert "8 [inferred]" in c
    assert "int8 [inferred]" in d
    assert "Expert Router" in d
