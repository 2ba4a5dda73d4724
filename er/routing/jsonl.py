"""Prompts from a JSON Lines file: `{"text": ..., "label": ...}`, the label where there is one."""

import json
from dataclasses import dataclass
from pathlib import Path

from er.errors import ErError


@dataclass(frozen=True)
class Labelled:
    """One prompt."""

    text: str
    label: str | None


def read(path: Path) -> list[Labelled]:
    """The prompts of a file, in order.

    Raises ErError, naming file and line, when it cannot be read or a line is not such an object.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not at U+2028, as splitlines
    except OSError as error:
        raise ErError(f"cannot read {path} ({error.strerror}): correct the path") from error
    except UnicodeDecodeError as error:
        raise ErError(f"{path} is not UTF-8: give a JSON Lines file in UTF-8") from error
    prompts = [
        parse(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()
    ]
    if not prompts:
        raise ErError(f'{path} holds no prompts: give lines such as {{"text": "What is a tort?"}}')
    return prompts


def parse(line: str, place: str) -> Labelled:
    """One line. Raises ErError naming the place."""
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    text = value.get("text") if isinstance(value, dict) else None
    if not isinstance(text, str):
        raise ErError(f'{place} is not an object with a string "text": correct the line')
    label = value.get("label")
    return Labelled(text, None if label is None else str(label))
