"""Check arguments of TensorRT-LLM's `LLM` without an installation, for each known version.

`data/llmapi_VERSION.json` holds facts from the public source: name, type, choices. `LLM` refuses
unknown names, so a wrong one would only show after a start on the node.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from er.errors import ConfigError

DATA = Path(__file__).parent / "data"
TYPES = {"int": int, "float": float, "str": str, "bool": bool}


def table(version: str) -> Mapping[str, Any]:
    """The facts of one version. Raises ConfigError for an unknown one."""
    path = DATA / f"llmapi_{version}.json"
    if not path.is_file():
        known = sorted(file.stem.removeprefix("llmapi_") for file in DATA.glob("llmapi_*.json"))
        raise ConfigError(
            f"engine.version is {version}, whose LLM arguments are unknown: have {known}"
        )
    return dict(json.loads(path.read_text()))


def check(version: str, arguments: Mapping[str, Any]) -> None:
    """Raise ConfigError, naming the argument, unless that version's `LLM` accepts them all."""
    _check(f"LLM {version}", table(version)["arguments"], arguments)


def _check(place: str, known: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Check the arguments of one class, and of the classes nested in it."""
    for name, value in arguments.items():
        if name not in known:
            raise ConfigError(f"{place} has no argument {name}")
        facts = known[name]
        if "fields" in facts:
            _check(f"{place} {name}", facts["fields"], value)
        elif type(value) is not TYPES[facts["type"]]:
            raise ConfigError(f"{place}: {name} takes {facts['type']}, not {value}")
        elif value not in facts.get("choices", [value]):
            raise ConfigError(f"{place}: {name} takes one of {facts['choices']}, not {value}")


def classes(version: str) -> dict[str, list[str]]:
    """By class of `tensorrt_llm.llmapi.llm_args`: the fields that the table names."""
    facts = table(version)
    nested = [each for each in facts["arguments"].values() if "fields" in each]
    return {
        facts["class"]: list(facts["arguments"]),
        **{each["class"]: list(each["fields"]) for each in nested},
    }
