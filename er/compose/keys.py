"""Describe a key that a configuration does not have."""

import difflib
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

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
    by_name = {each.rpartition(".")[2]: each for each in known}  # all of one section
    if not by_name:
        return (
            f"{key} has no schema: the file's defaults are to begin with config, such as "
            "defaults: [config, _self_]"
        )
    closest = difflib.get_close_matches(key.rpartition(".")[2], by_name, n=1)
    if closest:
        suggestion = f"did you mean {by_name[closest[0]]}?"
    else:
        suggestion = f"choose from {', '.join(by_name.values())}"
    return f"{key} is not a known key: {suggestion}"


def is_list(key: str) -> bool:
    """Whether a key takes a list, in one of the options of its group."""
    return item_of(key) is not None


def item_of(key: str) -> Any:
    """The type of the items of a key that takes a list; None for any other key."""
    group, _, rest = key.lstrip("+").partition(".")
    if rest and group in KINDS:
        found = [_item_of(schema, rest) for schema in KINDS[group].values()]
        return next(filter(None, found), None)
    return _item_of(Config, key.lstrip("+"))


def _item_of(schema: Any, path: str) -> Any:
    """The type of the items of the list at this path of a dataclass; None where there is none."""
    name, _, rest = path.partition(".")
    kind = get_type_hints(schema).get(name) if is_dataclass(schema) else None
    if rest:
        return _item_of(kind, rest)
    return get_args(kind)[0] if get_origin(kind) is list else None
