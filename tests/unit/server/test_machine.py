"""The limits of a machine that are checked before Triton starts."""

import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from er.errors import ErError
from er.process import open_files
from er.server import machine

Patch = pytest.MonkeyPatch


def limited(which: int, most: int) -> Callable[[int], tuple[int, int]]:
    """A machine that limits one thing."""
    return lambda kind: (most, most) if kind == which else (-1, -1)


def test_a_plain_machine_is_accepted() -> None:
    machine.check(Path("runs"), models=8, concurrency=8)


@pytest.mark.parametrize("character", [*" '\"$&#;|<>*?()[]{}\\`!\né日"])
def test_a_path_that_a_shell_would_split_is_refused(character: str) -> None:
    with pytest.raises(ErError, match=r"^runs_dir .* in its path"):
        machine.check(Path(f"/tmp/a{character}b"), 1, 1)


@pytest.mark.parametrize("name", ["a-b_c.d", "a=b,c", "a@b%c+d:e~f"])
def test_other_paths_are_accepted(name: str) -> None:
    machine.check(Path("/tmp") / name, 1, 1)


def test_no_bash_is_refused(monkeypatch: Patch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ErError, match="bash, which is not on PATH"):
        machine.check(Path("runs"), 1, 1)


def test_few_open_files_are_refused_with_both_numbers(monkeypatch: Patch) -> None:
    monkeypatch.setattr(resource, "getrlimit", limited(resource.RLIMIT_NOFILE, 64))
    with pytest.raises(ErError, match=r"^1000 requests in flight need 1256 .* allows 64"):
        machine.check(Path("runs"), 1, 1000)


def test_the_soft_limit_is_raised(monkeypatch: Patch) -> None:
    raised = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda which, to: raised.append((which, to)))
    open_files.require(2000, "x", "y")
    assert raised == [(resource.RLIMIT_NOFILE, (4096, 4096))]


def test_little_address_space_is_refused(monkeypatch: Patch) -> None:
    monkeypatch.setattr(resource, "getrlimit", limited(resource.RLIMIT_AS, 2 * 10**9))
    with pytest.raises(ErError, match=r"needs 6 GB of address space, the shell allows 2.00"):
        machine.check(Path("runs"), 1, 1)


def test_little_shared_memory_is_refused(monkeypatch: Patch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    with pytest.raises(ErError, match=r"^8 models need 16 MB of /dev/shm, 1 MB are free"):
        machine.check(Path("runs"), 8, 1)
