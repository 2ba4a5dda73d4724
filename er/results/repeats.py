"""Recognise repeats: runs that differ only in the seed."""

import json
from collections.abc import Mapping
from typing import Any

from er.results.keys import NAMES, VALUES


def key_of(config: Mapping[str, Any]) -> str:
    """A text that is equal for repeats, from a run's configuration as JSON has it.

    It has everything that decides points, except the seed and the ladder: a repeat may have fewer
    points.
    """
    apart = {*NAMES, "seed"}
    values = {name: value for name, value in config.items() if name not in apart}
    load = {name: value for name, value in config["load"].items() if name not in VALUES["load"]}
    return json.dumps({**values, "load": load}, sort_keys=True)
