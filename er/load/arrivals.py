"""When requests that wait for no answer are sent: one list of times for both clocks.

Nothing else draws a time of sending: a closed loop's later requests follow from its answers.
"""

import math
import random
from collections.abc import Iterator
from itertools import accumulate, count, islice, repeat, takewhile

from er.config import Arrivals, Load
from er.load import trace

# Prompts of one user to take turns with where a duration, not a count, ends a closed loop.
PROMPTS_PER_USER = 10


def count_requests(concurrency: int, load: Load) -> int:
    """Measured requests at `concurrency` users; warm-up requests come on top.

    For a closed loop that a duration ends: the prompts to take turns with, since the number of
    requests is not known beforehand.
    """
    if load.arrivals is Arrivals.trace:
        return len(_within(load, concurrency))
    if not load.duration_s:
        return max(concurrency * load.requests_per_user, load.requests_at_least)
    if load.arrivals is Arrivals.closed_loop:
        return max(concurrency * PROMPTS_PER_USER, load.requests_at_least)
    return max(0, len(_within(load, concurrency)) - count_warmups(concurrency, load))


def count_warmups(concurrency: int, load: Load) -> int:
    """Warm-up requests of all users together."""
    return concurrency * load.warmup_requests_per_user


def read_lengths(load: Load) -> list[tuple[int, int]] | None:
    """Input and output tokens of each request of a trace; None where it has none.

    Raises ErError when the trace cannot be read.
    """
    if load.arrivals is not Arrivals.trace:
        return None
    rows = trace.read(trace.source_of(load)).arrivals
    lengths = [(row.input_tokens, row.output_tokens) for row in rows]
    return lengths if lengths[0][0] else None


def read_blocks(load: Load) -> tuple[int, list[tuple[int, ...]]] | None:
    """The tokens of a block, and the blocks of each request of a trace that records what its
    prompts share; None where it does not. Raises ErError when the trace cannot be read."""
    if load.arrivals is not Arrivals.trace:
        return None
    recorded = trace.read(trace.source_of(load))
    blocks = [row.blocks for row in recorded.arrivals]
    return (recorded.block_tokens, blocks) if recorded.block_tokens and any(blocks) else None


def send_times_s(load: Load, concurrency: int, requests: int) -> list[float]:
    """When each of `requests` requests that wait for no answer is due, warm-up first.

    Seconds since the start of the point, rising. In a closed loop only the first request of each
    user waits for nothing: ask for `concurrency` of them. The same arguments give the same times.

    open_loop is a renewal process; its gaps are gamma of mean 1 / (concurrency * user_rate_per_s),
    shape `burstiness` (coefficient of variation 1 / sqrt(shape)): 1 makes it Poisson, infinity
    constant. Source: Cox, Renewal Theory (1962); vLLM's benchmark names its parameters alike.
    trace has the times of its file, divided by `concurrency`. Raises ErError if it is not readable.
    """
    return list(islice(_times(load, concurrency), requests))


def _within(load: Load, concurrency: int) -> list[float]:
    """All that are due before `load.duration_s`, where there is one."""
    ends_s = load.duration_s or math.inf
    return list(takewhile(lambda time_s: time_s < ends_s, _times(load, concurrency)))


def _times(load: Load, concurrency: int) -> Iterator[float]:
    if load.arrivals is Arrivals.open_loop:
        return accumulate(_gaps(load, concurrency))
    if load.arrivals is Arrivals.burst:
        return (turn // concurrency * load.burst_every_s for turn in count())
    if load.arrivals is Arrivals.trace:
        rows = trace.read(trace.source_of(load)).arrivals
        return (row.time_s / concurrency for row in rows)
    return (user / concurrency * load.ramp_s for user in range(concurrency))


def _gaps(load: Load, concurrency: int) -> Iterator[float]:
    mean_s = 1 / (load.user_rate_per_s * concurrency)
    shape = load.burstiness
    if math.isinf(shape):
        return repeat(mean_s)
    generator = random.Random(f"arrivals of {concurrency}")
    return (generator.gammavariate(shape, mean_s / shape) for _ in count())
