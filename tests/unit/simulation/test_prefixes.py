"""Prompts that begin alike are found, and their blocks reused."""

import numpy as np

from er.results.request import Prompt
from er.simulation.batching import Batch
from er.simulation.cost import StepCost
from er.simulation.limits import Limits
from er.simulation.prefixes import Prefixes, groups_of

COST = StepCost(np.arange(200) * 100, np.full((5, 200), 1000), np.arange(200) * 3, 7)


def prompt(tokens, group=-1, shared_tokens=0):
    return Prompt("", "", tokens, 1, group=group, shared_tokens=shared_tokens)


def test_blocks_of_a_prefix_are_found_whole():
    prefixes = Prefixes(4)
    first, other = list(range(10)), [9, 9, 9, 9, 9]
    assert prefixes.place(first) == (0, 0)
    assert prefixes.place(other) == (1, 0)
    assert prefixes.place(first) == (0, 8)
    assert prefixes.place(first[:7]) == (0, 4)
    assert prefixes.place([*first, 5, 5, 5]) == (0, 8)
    assert prefixes.place([*first, 5, 5, 5]) == (0, 12)
    assert prefixes.place([1]) == (2, 0)


def test_a_prompt_sent_again_shares_all_of_itself():
    alone, turn = prompt(10), prompt(20, group=3, shared_tokens=8)
    group, shared = groups_of([alone, turn, alone, prompt(5)])
    assert group.tolist() == [4, 3, 4, 5]
    assert shared.tolist() == [0, 8, 10, 0]


def reused(batch, key, *request):
    """Blocks that a lone request does not prefill, and play it to its end."""
    batch.add(key, *request)
    tokens = batch.start()
    count = request[0] - tokens.prefill_tokens
    batch.finish(tokens)
    while (iteration := batch.start()) is not None:
        batch.finish(iteration)
    return count


def test_cached_blocks_live_until_their_space_is_needed():
    batch = Batch(COST, Limits(4, 199, 199, 8, 12, kv_cache_reuse=True))
    assert reused(batch, 0, 40, 8, 1, 0) == 0
    assert reused(batch, 1, 40, 8, 1, 40) == 32  # one token at least is prefilled
    assert reused(batch, 2, 40, 8, 1, 23) == 16
    assert reused(batch, 3, 56, 8, 2, 0) == 0  # takes the eight blocks beside the chain's five - 1
    assert reused(batch, 4, 40, 8, 1, 40) == 32
    assert reused(batch, 5, 88, 8, 3, 0) == 0  # takes all twelve
    assert reused(batch, 6, 40, 8, 1, 40) == 0
