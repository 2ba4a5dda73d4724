"""When requests are sent that do not wait for an answer, in real time and in predictions.

No other module draws times of sending. In a closed loop, later requests follow from answers.
"""

import math
import random
from collections.abc import Iterator
from itertools import accumulate, count, islice, repeat, takewhile

from er.config import Arrivals, Load
from er.load import trace

# Different prompts of one user when a duration, not a count, ends a closed loop.
PROMPTS_PER_USER = 10


def count_requests(concurrency: int, load: Load) -> int:
    """Number of measured requests at `concurrency` users, without warm-up requests.

    For a closed loop that a duration ends, whose number of requests is not known in advance: the
    number of different prompts.
    """
    if load.arrivals is Arrivals.trace:
        return len(_within(load, concurrency))
    if not load.duration_s:
        return max(concurrency * load.requests_per_user, load.requests_at_least)
    if load.arrivals is Arrivals.closed_loop:
        return max(concurrency * PROMPTS_PER_USER, load.requests_at_least)
    return max(0, len(_within(load, concurrency)) - count_warmups(concurrency, load))


def count_warmups(concurrency: int, load: Load) -> int:
    """Number of warm-up requests of all users together."""
    return concurrency * load.warmup_requests_per_user


def read_lengths(load: Load) -> list[tuple[int, int]] | None:
    """Input and output tokens of each request of a trace; None for a trace without them.

    Raises ErError when the trace cannot be read.
    """
    if load.arrivals is not Arrivals.trace:
        return None
    rows = trace.read(trace.source_of(load)).arrivals
    lengths = [(row.input_tokens, row.output_tokens) for row in rows]
    return lengths if lengths[0][0] else None


def read_blocks(load: Load) -> tuple[int, list[tuple[int, ...]]] | None:
    """Tokens per block, and the blocks of each request of a trace; None for a trace without blocks.

    Blocks record what prompts share. Raises ErError when the trace cannot be read.
    """
    if load.arrivals is not Arrivals.trace:
        return None
    recorded = trace.read(trace.source_of(load))
    blocks = [row.blocks for row in recorded.arrivals]
    return (recorded.block_tokens, blocks) if recorded.block_tokens and any(blocks) else None


def send_times_s(load: Load, concurrency: int, requests: int) -> list[float]:
    """When each of `requests` requests that do not wait for an answer is due, warm-up first.

    Seconds since the start of the point, rising. In a closed loop only the first request of each
    user has such a time: pass `concurrency`. The same arguments give the same times.

    open_loop is a renewal process; its gaps are gamma of mean 1 / (concurrency * user_rate_per_s),
    shape `burstiness` (coefficient of variation 1 / sqrt(shape)): 1 makes it Poisson, infinity
    constant. Source: Cox, Renewal Theory (1962); vLLM's benchmark names its parameters alike.
    trace has the times of its file, divided by `concurrency`. Raises ErError if it is unreadable.
    """
    return list(islice(_times(load, concurrency), requests))


def _within(load: Load, concurrency: int) -> list[float]:
    """The times before `load.duration_s`; all of them without a duration."""
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
