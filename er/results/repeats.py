"""Runs that differ in the seed alone are repeats of one measurement."""

import json
from collections.abc import Mapping
from typing import Any

from er.results.keys import NAMES, VALUES


def key_of(config: Mapping[str, Any]) -> str:
    """Alike for repeats: what decides the points of a run but the seed, from its configuration as
    JSON has it. Without the ladder: a repeat may have fewer points."""
    apart = {*NAMES, "seed"}
    values = {name: value for name, value in config.items() if name not in apart}
    load = {name: value for name, value in config["load"].items() if name not in VALUES["load"]}
    return json.dumps({**values, "load": load}, sort_keys=True)
