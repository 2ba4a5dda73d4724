"""One row for each claim, with the verdict on what was predicted and on what was measured."""

import re
from collections.abc import Sequence
from pathlib import Path

from er.claims.verdicts import Verdict
from er.results.marked import replace_between

BEGIN = "<!-- held against the paper: written by python -m er.claims write=true -->"
END = "<!-- end of what was held against the paper -->"
HEAD = ["| what the paper says | predicted | measured |", "|---|---|---|"]
NONE = "not yet"


def write(file: Path, verdicts: Sequence[Verdict], *, predicted: bool) -> None:
    """Put the verdicts into their column of the table in `file`; the other column stays.

    Raises ErError where the file has no place for a table.
    """
    before = rows_of(file.read_text())
    lines = list(HEAD)
    for verdict in verdicts:
        claim = verdict.claim
        name = f"{claim.figure} {claim.id}"
        others = before.get(name, [NONE, NONE])
        cells = [verdict.word, others[1]] if predicted else [others[0], verdict.word]
        says = claim.says.replace("|", "\\|")
        lines.append(f"| *{name}*: {says} | {cells[0]} | {cells[1]} |")
    replace_between(file, BEGIN, END, "\n".join(lines))


def rows_of(text: str) -> dict[str, list[str]]:
    """By claim: its two verdicts in a table that was written before."""
    table = text.partition(BEGIN)[2].partition(END)[0]
    rows = re.findall(r"^\| \*(.+?)\*: .* \| (.+?) \| (.+?) \|$", table, re.MULTILINE)
    return {name: [predicted, measured] for name, predicted, measured in rows}
