"""Describe a key that a configuration does not have."""

import difflib
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any, get_origin, get_type_hints

from er.compose.kinds import KINDS
from er.config import Config


def describe_unknown_key(key: str, known: Iterable[str]) -> str:
    """Message for a key that the schema does not have, with the options that have it.

    Without such an option, the message names the nearest of the `known` keys.
    """
    group, _, name = key.partition(".")
    owners = [
        f"{group}={option}"
        for option, schema in KINDS.get(group, {}).items()
        if name in [field.name for field in fields(schema)]
    ]
    if owners:
        return f"{key} is a key of {' and '.join(owners)}, which is not chosen"
    known = list(known)
    closest = difflib.get_close_matches(key, known, n=1)
    suggestion = f"did you mean {closest[0]}?" if closest else f"choose from {', '.join(known)}"
    return f"{key} is not a known key: {suggestion}"


def is_list(key: str) -> bool:
    """Whether a key takes a list, in one of the options of its group."""
    group, _, rest = key.lstrip("+").partition(".")
    if rest and group in KINDS:
        return any(_is_list(schema, rest) for schema in KINDS[group].values())
    return _is_list(Config, key.lstrip("+"))


def _is_list(schema: Any, path: str) -> bool:
    """Whether the field at this path of a dataclass is a list."""
    name, _, rest = path.partition(".")
    kind = get_type_hints(schema).get(name) if is_dataclass(schema) else None
    return _is_list(kind, rest) if rest else get_origin(kind) is list
