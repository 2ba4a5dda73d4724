"""A run directory that is removed, or cannot be written, while a point is measured."""

import asyncio
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from er.errors import ErError
from er.results import request_table
from er.results.run_dir import RunDir
from tests.unit.load.fakes import Serve, stream
from tests.unit.load.test_alone import drive, small_corpus

__all__ = ["small_corpus"]


def measure(serve: Serve, runs: Path, harm: Callable[[Path], None]) -> tuple[Path, ErError]:
    """The run directory that is harmed at the second request, and the error that follows."""
    seen: list[Path] = []

    async def answer(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        seen.extend(path for path in (runs / "load").iterdir() if path not in seen)
        if len(seen) == 1:
            seen.append(seen[0])
            harm(seen[0])
        await stream(body, writer)

    with pytest.raises(ErError) as raised:
        drive(serve, runs, answer, "load.concurrency=[1]", "load.requests_per_user=4")
    return seen[0], raised.value


def test_a_directory_that_is_removed_is_named(serve: Serve, tmp_path: Path) -> None:
    run, error = measure(serve, tmp_path, shutil.rmtree)
    assert str(error).startswith(f"cannot write to {run}: ")
    assert "give it back" in str(error)
    assert not run.exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_directory_that_cannot_be_written_is_named(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    def harm(_: Path) -> None:
        monkeypatch.setattr(request_table, "json", SimpleNamespace(dumps=refuse))
        monkeypatch.setattr(request_table.parquet, "write_table", refuse)
        monkeypatch.setattr(Path, "write_bytes", refuse)

    run, error = measure(serve, tmp_path, harm)
    monkeypatch.undo()
    assert str(error).startswith(f"cannot write to {run}: {os.strerror(number)}: ")
    assert RunDir(run).status() == "interrupted"  # it was left as running, and nobody is there
    assert (run / "requests" / "c0001.jsonl").exists()
