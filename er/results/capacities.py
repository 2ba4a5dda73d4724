"""What searches for capacity found, in words that terminal, documents and figures share."""

import math
from collections.abc import Sequence
from typing import Any

from er.results.labels import deployment_name, engines, flatten

INTERVAL = "from the least to the most users that the model allows with the same prompts"
DRAWS = "prompts of other seeds move it further: repeats=5 searches with five seeds"
DIGITS = 2  # of GPUs for more users: other prompts move them by more than a hundredth
DEEP = 0.9  # of the concurrency: below it, the lower end is worth a line
PER_SEED = ("seed", "repeats")


def describe_none(found: dict[str, Any]) -> str:
    """Why a deployment carries nobody, in few words; empty where it runs but is too slow."""
    if not found["refusal"]:
        return ""
    return "does not fit" if "does not fit" in found["refusal"] else "cannot run"


def round_up(gpus: int) -> int:
    """As many GPUs or more, to two digits."""
    step: int = 10 ** max(0, len(str(gpus)) - DIGITS)
    return math.ceil(gpus / step) * step


def describe_low_end(found: dict[str, Any]) -> str:
    """What breaks at the lower end of an interval that reaches far down; empty elsewhere."""
    reason = found.get("low_bounded_by", "")
    if not reason or found["concurrency_low"] >= DEEP * found["concurrency"]:
        return ""
    return f"{found['concurrency_low']:,} at the lower end: {reason}"


def describe_draws(configs: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]) -> list[str]:
    """A line for the searches that differ in the seed alone: between which concurrencies they are.

    A seed draws the prompts, and trains the router that tells them apart.
    """
    groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for place, config in enumerate(configs):
        same = tuple((name, repr(value)) for name, value in flatten(config) if name not in PER_SEED)
        groups.setdefault(same, []).append(place)
    lines = []
    for places in groups.values():
        if len(places) > 1:
            config = configs[places[0]]
            users = [found[place]["concurrency"] for place in places]
            seeds = ", ".join(str(configs[place]["seed"]) for place in places)
            lines.append(
                f"{deployment_name(config['deployment']['id'])} {engines(config)} on "
                f"{config['hardware']['name']}, prompts and router of seeds {seeds}: "
                f"{min(users):,} to {max(users):,} users"
            )
    return lines
