"""Files that are made from others, and kept until what they were made from changes.

Beside the files made as NAME, NAME.inputs.json holds the digest of what they were made from and the
digest of each file.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from er.results.files import digest_of, write_whole
from er.results.json_file import text_of

SUFFIX = ".inputs.json"


def inputs_of(values: object, files: Iterable[Path] = ()) -> str:
    """SHA-256, in hexadecimal digits, of plain values and of files by name and content."""
    total = hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode())
    for path in files:
        total.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return total.hexdigest()


def find(folder: Path, name: str, inputs: str) -> dict[str, Any] | None:
    """The note about the files made as `name` from these inputs.

    None when there is none for these inputs, or when one of the files is missing or changed.
    """
    try:
        noted: dict[str, Any] = json.loads((folder / f"{name}{SUFFIX}").read_text())
        same = noted["inputs"] == inputs and all(
            digest_of(folder / file) == digest for file, digest in noted["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return noted if same else None


def note(folder: Path, name: str, inputs: str, files: Sequence[Path], **more: object) -> None:
    """Record that `files` of the folder were made as `name` from `inputs`, with `more` values."""
    digests = {file.name: digest_of(file) for file in files}
    text = text_of({"inputs": inputs, "files": digests, **more})
    write_whole(folder / f"{name}{SUFFIX}", text.encode())
