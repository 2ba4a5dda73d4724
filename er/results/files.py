"""Files as a whole: written in one step, and known by their digest."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from er.errors import ErError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in one step, so that no reader and no other writer ever sees half of it.

    Raises ErError when the folder or the file cannot be written.
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


def digest_of(file: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits. Raises OSError when it cannot be read."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
