"""Read prompts from JSON Lines, `{"text": ..., "label": ...}`, with an optional label."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from er.errors import ConfigError


@dataclass(frozen=True)
class Labelled:
    """A prompt with its label."""

    text: str
    label: str | None


def read(path: Path) -> list[Labelled]:
    """The prompts of a file, in order.

    Raises ConfigError, naming file and line, when it cannot be read or a line has no text.
    """
    prompts = [parse_prompt(value, place) for place, value in read_objects(path)]
    if not prompts:
        raise ConfigError(f'{path} holds no prompts: give lines such as {{"text": "Why?"}}')
    return prompts


def read_objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The place and the object of each line that is not blank.

    Raises ConfigError, naming file and line, when it cannot be read or a line is not an object.
    """
    try:
        lines = path.read_text(encoding="utf-8").split(
            "\n"
        )  # splitlines would also split at U+2028
    except OSError as error:
        raise ConfigError(f"cannot read {path} ({error.strerror}): correct the path") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8: give a JSON Lines file in UTF-8") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield f"{path}:{number}", _parse_object(line, f"{path}:{number}")


def parse_prompt(value: dict[str, Any], place: str) -> Labelled:
    """The prompt in an object of a line. Raises ConfigError, naming the place, without a text."""
    text = value.get("text")
    if not isinstance(text, str):
        raise ConfigError(f'{place} is not an object with a string "text": correct the line')
    label = value.get("label")
    return Labelled(text, None if label is None else str(label))


def _parse_object(line: str, place: str) -> dict[str, Any]:
    """The JSON object of a line. Raises ConfigError, naming the place, for anything else."""
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ConfigError(f"{place} is not a JSON object: correct the line")
    return value
