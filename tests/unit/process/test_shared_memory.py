"""Which files of /dev/shm are removed: of owners that are gone, and of no others."""

import os
import re
from pathlib import Path

import pytest

from er.process import shared_memory


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of /dev/shm."""
    monkeypatch.setattr(shared_memory, "FOLDER", tmp_path)
    return tmp_path


def test_names_are_of_letters_digits_and_underscores() -> None:
    """Triton's command line and the tests take a prefix for one word."""
    assert re.fullmatch(r"er_n\d+_p\d+_t\d+_8000_", shared_memory.prefix("8000"))


@pytest.mark.parametrize(
    ("part", "other", "removed"),
    [
        ("", "", False),  # this process lives
        (r"_p\d+", "_p999999999", True),
        (r"_t\d+", "_t1", True),  # another process has its id by now
        (r"_n\d+", "_n1", False),  # of another container, whose processes are not seen from here
        (r"^er_", "other_", False),
        (r"_t\d+_", "_", False),
    ],
)
def test_only_files_of_owners_that_are_gone_are_removed(
    folder: Path, part: str, other: str, removed: bool
) -> None:
    file = folder / (
        re.sub(part, other, shared_memory.prefix("x")) if part else shared_memory.prefix("x")
    )
    file.touch()

    assert shared_memory.remove_of_dead() == ([file] if removed else [])
    assert file.exists() != removed


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_files_of_another_user_stay(folder: Path) -> None:
    """Of whose processes a node may show nothing."""
    file = folder / re.sub(r"_p\d+", "_p999999999", shared_memory.prefix("x"))
    file.touch()
    os.chown(file, 12345, -1)

    assert shared_memory.remove_of_dead() == []
