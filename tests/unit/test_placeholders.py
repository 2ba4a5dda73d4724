"""No text that people read has a place that was to be filled in later."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACEHOLDER = re.compile(
    r"\b(?:XX|TODO|TBD|FIXME|WIP|PLACEHOLDER)\b|\?\?\?|^<{7} |^>{7} |Lorem ipsum"
)
ROOMS = ("docs", "experiments", "slurm", "er", "conf", "paper_figures", "benchmarks", "tests")
KINDS = (".md", ".py", ".yaml", ".html", ".csv", ".sh", ".sbatch")
FILES = [
    *ROOT.glob("*.md"),
    *(path for room in ROOMS for path in (ROOT / room).rglob("*") if path.suffix in KINDS),
]


@pytest.mark.parametrize("text", ["is now XX on", "TODO: say why", "limit: ???", "<<<<<<< HEAD"])
def test_a_placeholder_is_found(text: str) -> None:
    assert PLACEHOLDER.search(text)


@pytest.mark.parametrize("text", ["mktemp er.XXXXXX", "really?", "AXX1", "x << 7", "2 XXL"])
def test_other_text_is_none(text: str) -> None:
    assert not PLACEHOLDER.search(text)


def test_no_file_has_a_placeholder() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in FILES
        if path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if PLACEHOLDER.search(line)
    ]
    assert len(FILES) > 300
    assert found == []
