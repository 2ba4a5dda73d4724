"""Prompts of JSON Lines files."""

from pathlib import Path

import pytest

from er.corpus import jsonl
from er.corpus.jsonl import Labelled
from er.errors import ErError


def test_labels_are_optional_and_become_strings(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(
        '{"text": "One?"}\n\n{"text": "Two\\nlines\u2028here", "label": 7, "more": []}\n',
        encoding="utf-8",
    )
    assert jsonl.read(path) == [Labelled("One?", None), Labelled("Two\nlines\u2028here", "7")]


@pytest.mark.parametrize("line", ["{", "[]", '"text"', "{}", '{"text": 3}'])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"text": "One?"}\n' + line)
    with pytest.raises(ErError, match=r"prompts\.jsonl:2 is not an? .*object"):
        jsonl.read(path)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe"])
def test_files_without_prompts_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(content)
    with pytest.raises(ErError, match=r"prompts\.jsonl.*: give"):
        jsonl.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ErError, match=r"cannot read .*absent\.jsonl"):
        jsonl.read(tmp_path / "absent.jsonl")
