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


def requests_of(users: int, load: Load) -> int:
    """Measured requests at `users` users; warm-up requests come on top.

    For a closed loop that a duration ends: the prompts to take turns with, since the number of
    requests is not known beforehand.
    """
    if load.arrivals is Arrivals.trace:
        return len(_within(load, users))
    if not load.duration_s:
        return max(users * load.requests_per_user, load.requests_at_least)
    if load.arrivals is Arrivals.closed_loop:
        return max(users * PROMPTS_PER_USER, load.requests_at_least)
    return max(0, len(_within(load, users)) - warmups_of(users, load))


def warmups_of(users: int, load: Load) -> int:
    """Warm-up requests of all users together."""
    return users * load.warmup_requests_per_user


def lengths_of(load: Load) -> list[tuple[int, int]] | None:
    """Input and output tokens of each request of a trace; None where it has none.

    Raises ErError when the trace cannot be read.
    """
    if load.arrivals is not Arrivals.trace:
        return None
    rows = trace.read(trace.source_of(load)).arrivals
    lengths = [(row.input_tokens, row.output_tokens) for row in rows]
    return lengths if lengths[0][0] else None


def due_s(load: Load, users: int, requests: int) -> list[float]:
    """When each of `requests` requests that wait for no answer is due, warm-up first.

    Seconds since the start of the point, rising. In a closed loop only the first request of each
    user waits for nothing: ask for `users` of them. The same load and users give the same times.

    open_loop is a renewal process whose gaps are gamma of mean 1 / (users * user_rate_per_s) and
    shape `burstiness` (coefficient of variation 1 / sqrt(shape)): 1 makes it Poisson, infinity
    constant. Source: Cox, Renewal Theory (1962); vLLM's benchmark names its parameters alike.
    trace has the times of its file, divided by `users`. Raises ErError when it cannot be read.
    """
    return list(islice(_times(load, users), requests))


def _within(load: Load, users: int) -> list[float]:
    """All that are due before `load.duration_s`, where there is one."""
    ends_s = load.duration_s or math.inf
    return list(takewhile(lambda time_s: time_s < ends_s, _times(load, users)))


def _times(load: Load, users: int) -> Iterator[float]:
    if load.arrivals is Arrivals.open_loop:
        return accumulate(_gaps(load, users))
    if load.arrivals is Arrivals.burst:
        return (turn // users * load.burst_every_s for turn in count())
    if load.arrivals is Arrivals.trace:
        rows = trace.read(trace.source_of(load)).arrivals
        return (row.time_s / users for row in rows)
    return (user / users * load.ramp_s for user in range(users))


def _gaps(load: Load, users: int) -> Iterator[float]:
    mean_s = 1 / (load.user_rate_per_s * users)
    shape = load.burstiness
    if math.isinf(shape):
        return repeat(mean_s)
    generator = random.Random(f"arrivals of {users}")
    return (generator.gammavariate(shape, mean_s / shape) for _ in count())
