"""Baselines that do not read the prompt."""

from collections import Counter

import pytest

from er.config import Policy
from er.routing.policies import baseline

IDLE = [0, 0, 0, 0]


def test_random_is_even_and_repeats_with_its_seed() -> None:
    one, same, other = (baseline(Policy.random, 4, seed) for seed in (0, 0, 1))
    chosen = [one("", IDLE) for _ in range(4000)]
    assert chosen == [same("a court", IDLE) for _ in range(4000)]
    assert chosen != [other("", IDLE) for _ in range(4000)]
    assert all(850 < count < 1150 for count in Counter(chosen).values())


def test_random_follows_its_shares() -> None:
    choose = baseline(Policy.random, 3, 0, [2, 0, 1])
    counts = Counter(choose("", IDLE) for _ in range(3000))
    assert counts[1] == 0
    assert 1900 < counts[0] < 2100


def test_round_robin_takes_turns() -> None:
    choose = baseline(Policy.round_robin, 3, 0)
    assert [choose(text, IDLE) for text in "abcdefg"] == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize(
    ("in_flight", "chosen"), [([0, 0, 0], 0), ([1, 0, 0], 1), ([2, 2, 1], 2), ([3, 1, 1], 1)]
)
def test_least_loaded_takes_the_first_of_the_idlest(in_flight: list[int], chosen: int) -> None:
    assert baseline(Policy.least_loaded, 3, 0)("", in_flight) == chosen


def test_the_trained_router_is_no_baseline() -> None:
    with pytest.raises(ValueError, match="kmeans is no baseline"):
        baseline(Policy.kmeans, 3, 0)
