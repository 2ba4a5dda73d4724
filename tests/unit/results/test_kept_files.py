"""Files that are made from others: a damaged note about them means that they are made again."""

from pathlib import Path

import pytest

from er.results import kept


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"5", b"\xff", b"[" * 100_000, b"{}", b'{"inputs": "x", "files": []}',
     b'{"inputs": "x", "files": {"a.png": 5}}'],
)  # fmt: skip
def test_a_damaged_note_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_text("drawn")
    kept.note(tmp_path, "a", "x", [tmp_path / "a.png"])
    assert kept.find(tmp_path, "a", "x")
    (tmp_path / f"a{kept.SUFFIX}").write_bytes(content)
    assert kept.find(tmp_path, "a", "x") is None
