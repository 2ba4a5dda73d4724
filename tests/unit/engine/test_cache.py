"""The lock of an engine on a file system without locks."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from er.engine import cache
from er.errors import ErError


def no_locks(*_: object) -> None:
    """As on Lustre mounted without `-o flock`."""
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def test_a_file_system_without_locks_is_named_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "fcntl", SimpleNamespace(flock=no_locks, LOCK_EX=0))
    message = rf"{tmp_path} is on a file system without flock \(Function not implemented\).*Lustre"
    with pytest.raises(ErError, match=message), cache.locked(tmp_path, "engine"):
        pytest.fail("not locked")
