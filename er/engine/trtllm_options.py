"""Check commands of TensorRT-LLM's tools without an installation, for each known version.

`data/trtllm_VERSION.json` holds facts from the public source: name, type, choices. Inside the
container, the table itself can be compared with the `--help` of the installed tools.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from er.errors import ConfigError

DATA = Path(__file__).parent / "data"
TYPES = {"int": int, "float": float, "str": str}


def tools(version: str) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """The facts about each option of each tool. Raises ConfigError for an unknown version."""
    path = DATA / f"trtllm_{version}.json"
    if not path.is_file():
        known = sorted(file.stem.removeprefix("trtllm_") for file in DATA.glob("trtllm_*.json"))
        raise ConfigError(f"engine.version is {version}, whose options are unknown: have {known}")
    table: dict[str, Any] = json.loads(path.read_text())
    return dict(table["tools"])


def check(version: str, command: Sequence[str]) -> None:
    """Raise ConfigError, naming the option, unless the tool of that version accepts the command."""
    options = tools(version)
    tool, arguments = split(command, options)
    remaining = list(arguments)
    while remaining:
        name = remaining.pop(0)
        option = options[tool].get(name)
        if option is None:
            raise ConfigError(f"{tool} {version} has no option {name}")
        if "deprecated" in option:
            raise ConfigError(f"{tool} {version} deprecates {name}: {option['deprecated']}")
        if option.get("flag"):
            continue
        if not remaining or remaining[0].startswith("--"):
            raise ConfigError(f"{tool} {version}: {name} needs a value")
        check_value(f"{tool} {version}: {name}", option, remaining.pop(0))


def split(
    command: Sequence[str], options: Mapping[str, Mapping[str, Any]]
) -> tuple[str, list[str]]:
    """The tool that a command runs, and its arguments."""
    for place, part in enumerate(command):
        if Path(part).name in options:
            return Path(part).name, list(command[place + 1 :])
    raise ConfigError(f"{' '.join(command)} runs none of {sorted(options)}")


def check_value(place: str, option: Mapping[str, Any], text: str) -> None:
    """Raise ConfigError unless `text` is of the option's type and among its choices."""
    try:
        value = TYPES[option["type"]](text)
    except ValueError:
        raise ConfigError(f"{place} takes {option['type']}, not {text}") from None
    if "choices" in option and value not in option["choices"]:
        raise ConfigError(f"{place} takes one of {option['choices']}, not {text}")


def missing_from_help(version: str, tool: str, help_text: str) -> list[str]:
    """The options of the table that the `--help` of an installed tool does not name."""
    named = set(re.findall(r"(?<![\w-])--\w+", help_text))
    return [name for name in tools(version)[tool] if name not in named]
