"""In-flight batching: nothing lost, no limit passed, first come first served, nobody evicted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from er.simulation.batching import Batch
from er.simulation.cost import StepCost
from er.simulation.limits import Limits, RequestError

LIMITS = Limits(
    max_batch_size=4, max_num_tokens=64, max_seq_len=80, tokens_per_block=8, kv_blocks=14
)
COST = StepCost(
    linear_ns=np.arange(65) * 100,
    decode_ns=1000 + np.add.outer(np.arange(5) * 100, np.arange(81)),
    prefill_ns=np.arange(81) * 3,
    launch_ns=7,
)
LENGTHS = st.tuples(st.integers(1, 60), st.integers(1, 20))


def run(batch):
    """Iterations until nothing is left."""
    while (iteration := batch.start()) is not None:
        yield iteration, batch.finish(iteration)


def test_a_lone_request_is_prefilled_once_and_then_decodes():
    batch = Batch(COST, LIMITS)
    batch.add(7, 10, 3)
    steps = list(run(batch))
    assert [iteration.duration_ns for iteration, _ in steps] == [
        1000 + 10 * 100 + 7 + 10 * 3,  # prefill of 10 tokens
        1000 + 100 + 11,  # decodes over the prompt and one token
        1000 + 100 + 12,
    ]
    assert [[s.key for s in done] for _, done in steps] == [[], [], [7]]


def test_a_prompt_joins_those_who_decode():
    batch = Batch(COST, LIMITS)
    batch.add(0, 10, 5)
    batch.finish(batch.start())
    batch.add(1, 20, 5)
    mixed = batch.start()
    assert [s.key for s in mixed.sequences] == [0, 1]
    assert mixed.duration_ns == (1000 + 100 + 11) + 20 * 100 + 7 + 20 * 3


@given(st.lists(LENGTHS, max_size=30), st.randoms(use_true_random=False))
def test_every_request_gets_its_tokens_in_order_within_all_limits(lengths, chance):
    batch = Batch(COST, LIMITS)
    received = dict.fromkeys(range(len(lengths)), 0)
    admitted, arrived = [], 0
    while True:
        joins = chance.randint(0, len(lengths) - arrived)
        for key in range(arrived, arrived + joins):
            batch.add(key, *lengths[key])
        arrived += joins
        iteration = batch.start()
        if iteration is None:
            if arrived == len(lengths):
                break
            continue
        check_limits(batch, iteration)
        for sequence in iteration.sequences:
            received[sequence.key] += 1
            if received[sequence.key] == 1:
                admitted.append(sequence.key)
        batch.finish(iteration)
    assert admitted == sorted(admitted)
    assert [received[key] for key in received] == [tokens for _, tokens in lengths]
    assert (batch.cache.free_blocks, batch.context, batch.running) == (LIMITS.kv_blocks, 0, {})


def check_limits(batch, iteration):
    assert len(iteration.sequences) <= LIMITS.max_batch_size
    new = sum(1 for s in iteration.sequences if s.generated == 0)
    tokens = iteration.prefill_tokens + len(iteration.sequences) - new
    assert tokens <= LIMITS.max_num_tokens
    reserved = sum(
        -(-(s.input_tokens + s.output_tokens) // LIMITS.tokens_per_block)
        for s in iteration.sequences
    )
    assert reserved == LIMITS.kv_blocks - batch.cache.free_blocks <= LIMITS.kv_blocks


def test_no_admission_past_a_request_that_does_not_fit():
    batch = Batch(COST, LIMITS)
    for key, lengths in enumerate([(60, 20), (60, 20), (1, 1)]):
        batch.add(key, *lengths)
    assert [s.key for s in batch.start().sequences] == [0]


@given(st.lists(LENGTHS, min_size=1, max_size=10), st.integers(0, 9), st.integers(0, 5))
def test_a_cancelled_request_leaves_nothing_behind(lengths, victim, after):
    batch = Batch(COST, LIMITS)
    for key, length in enumerate(lengths):
        batch.add(key, *length)
    for _ in range(after):
        if (iteration := batch.start()) is not None:
            batch.finish(iteration)
    batch.cancel(victim)
    assert all(s.key != victim for iteration, _ in run(batch) for s in iteration.sequences)
    assert (batch.cache.free_blocks, batch.context) == (LIMITS.kv_blocks, 0)


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ((0, 5), "must be above 0"),
        ((5, 0), "must be above 0"),
        ((65, 5), "max_num_tokens 64"),
        ((61, 20), "max_seq_len 80"),
    ],
)
def test_a_request_that_can_never_run_is_refused(lengths, said):
    with pytest.raises(RequestError, match=said):
        Batch(COST, LIMITS).add(0, *lengths)


def test_a_request_larger_than_the_whole_cache_is_refused():
    small = Limits(4, 64, 80, 8, kv_blocks=2)
    with pytest.raises(RequestError, match="need 3 KV blocks, the engine has 2"):
        Batch(COST, small).add(0, 10, 10)
