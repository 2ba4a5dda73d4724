"""Baselines of experiments: who answers a prompt that is not read."""

import random
from collections.abc import Callable, Sequence
from itertools import cycle

from er.config import Policy

# From the text of a prompt and the number of requests in flight at each expert, to an expert.
Choose = Callable[[str, Sequence[int]], int]


def baseline(policy: Policy, experts: int, seed: int, shares: Sequence[float] = ()) -> Choose:
    """A choice among experts that does not read the prompt.

    Only `random` uses `seed` and `shares` (weights of the experts; empty: equal).

    Raises ValueError for kmeans, which is no baseline.
    """
    if policy is Policy.random:
        generator = random.Random(seed)
        return lambda *_: generator.choices(range(experts), shares or None)[0]
    if policy is Policy.round_robin:
        turns = cycle(range(experts))
        return lambda *_: next(turns)
    if policy is Policy.least_loaded:
        return lambda _, in_flight: least_loaded(in_flight)
    raise ValueError(f"{policy.value} is no baseline")


def least_loaded(in_flight: Sequence[int]) -> int:
    """The expert with the fewest requests in flight, the first of equals."""
    return min(range(len(in_flight)), key=in_flight.__getitem__)
