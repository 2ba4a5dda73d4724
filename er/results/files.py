"""Writing into the cache."""

import os
from contextlib import suppress
from pathlib import Path

from er.errors import ErError


def write_whole(path: Path, content: bytes) -> None:
    """Write in one step: neither a reader nor another writer ever meets half a file.

    Raises ErError when the folder or the file cannot be made.
    """
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.rename(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise ErError(
            f"cannot write {path} ({error.strerror}): make room or give rights, or choose another "
            "folder (cache_dir=... of a run, --out of a command)"
        ) from error
