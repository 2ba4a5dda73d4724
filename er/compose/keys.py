"""Describe a key that a configuration does not have."""

import difflib
from collections.abc import Iterable
from dataclasses import fields

from er.compose.kinds import KINDS


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
