"""Files that are made from others, kept while what they were made from has not changed.

Beside what is made as NAME lies NAME.inputs.json: the digest of what it was made from, and that of
each file that was written.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from er.results.files import write_whole
from er.results.json_file import text_of

SUFFIX = ".inputs.json"


def inputs_of(values: object, files: Iterable[Path] = ()) -> str:
    """SHA-256, in hexadecimal digits, of plain values and of files by name and content."""
    total = hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode())
    for path in files:
        total.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return total.hexdigest()


def find(folder: Path, name: str, inputs: str) -> dict[str, Any] | None:
    """What was noted when NAME was made from these inputs; None where it was not, or where one of
    its files is gone or changed."""
    try:
        noted: dict[str, Any] = json.loads((folder / f"{name}{SUFFIX}").read_text())
        same = noted["inputs"] == inputs and all(
            digest_of(folder / file) == digest for file, digest in noted["files"].items()
        )
    except (OSError, ValueError, KeyError):
        return None
    return noted if same else None


def note(folder: Path, name: str, inputs: str, files: Sequence[Path], **more: object) -> None:
    """Note that these files in the folder were made as NAME, and `more` about them."""
    digests = {file.name: digest_of(file) for file in files}
    text = text_of({"inputs": inputs, "files": digests, **more})
    write_whole(folder / f"{name}{SUFFIX}", text.encode())


def digest_of(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
