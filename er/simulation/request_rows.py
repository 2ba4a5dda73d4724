"""Writes out the requests of a simulated point, and when each of their tokens arrived."""

import math

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from er.simulation.cost import NS_PER_S
from er.simulation.outcome import FAILED, Ints, Outcome
from er.simulation.tables import Pause, Prompts, Segment, Sent

ANSWERED, NO_ANSWER = 200, 0  # status of HTTP


def list_requests(outcome: Outcome, concurrency: int, routed: bool, topics: list[str]) -> pa.Table:
    """A row for each request, in order of sending, with the columns of `er.results.Request` and
    its latencies in seconds, NaN where it failed; `topics` are those of the prompts.

    Needs recorded steps.
    """
    rows = outcome.sent
    count = len(rows)
    prompts = outcome.prompts[rows[:, Sent.prompt]]
    tokens, times_s = token_times_s(outcome)
    ends = np.cumsum(tokens)
    send_s, end_s = outcome.spans_s().T
    first_s = np.full(count, np.nan)
    first_s[tokens > 0] = times_s[(ends - tokens)[tokens > 0]]
    failed = outcome.failed
    ok = ~failed & (tokens > 0)
    ttft_s, e2e_s = (np.where(ok, at - send_s, np.nan) for at in (first_s, end_s))
    several = np.where(tokens > 1, tokens - 1, np.nan)
    before = send_s < send_s[outcome.measured].min(initial=math.inf)
    before |= rows[:, Sent.prompt] < outcome.warmup
    columns = {
        "concurrency": np.full(count, concurrency),
        "user": rows[:, Sent.user].astype(np.int64) % concurrency,
        "index": np.arange(count),
        "warmup": ~outcome.measured & before,
        "topic": [topics[prompt] for prompt in rows[:, Sent.prompt]],
        "input_tokens": prompts[:, Prompts.input].astype(np.int64),
        "max_tokens": prompts[:, Prompts.output].astype(np.int64),
        "send_s": send_s,
        "token_times_s": lists(tokens, times_s),
        "end_s": end_s,
        "status": np.where(ok | (tokens > 0), ANSWERED, NO_ANSWER),
        "error": np.where(failed, FAILED, ""),
        "expert": rows[:, Sent.engine].astype(np.int64) if routed else np.full(count, -1),
        "text": np.full(count, ""),
        "token_lateness": lists(np.zeros(count, np.int64), np.zeros(0)),
        "intended_s": send_s,
        "reasoning_tokens": np.zeros(count, np.int64),
        "first_answer_s": np.where(tokens > 0, first_s, 0.0),
        "usage_tokens": np.full(count, -1),
        "retries": np.zeros(count, np.int64),
        "cooldown": ~outcome.measured & ~before,
        "output_tokens": tokens,
        "ok": ok,
        "ttft_s": ttft_s,
        "tpot_s": (e2e_s - ttft_s) / several,
        "e2e_s": e2e_s,
    }
    return pa.table(columns)


def token_times_s(outcome: Outcome) -> tuple[Ints, NDArray[np.float64]]:
    """How many tokens each request received, and when its user did, one request after the
    other. Between two pauses a request gets a token in every iteration of its engine."""
    segments = outcome.segments[np.argsort(outcome.segments[:, Segment.engine], kind="stable")]
    ends_ns = step_ends_ns(outcome, segments)
    count, paused = len(outcome.sent), outcome.pauses[:, Pause.request]
    before = np.bincount(paused, outcome.pauses[:, Pause.tokens], count).astype(np.int64)
    request = np.concatenate([paused, np.arange(count)])
    order = np.argsort(request, kind="stable")
    engine = outcome.sent[request[order], Sent.engine]
    steps = np.zeros(int(engine.max(initial=0)) + 1, np.int64)  # of each engine
    np.add.at(steps, segments[:, Segment.engine], segments[:, Segment.steps])
    last = outcome.prompts[outcome.sent[:, Sent.prompt], Prompts.output] - before
    wanted = np.concatenate([outcome.pauses[:, Pause.tokens], last])[order]
    first = np.concatenate([outcome.pauses[:, Pause.iteration], outcome.sent[:, Sent.iteration]])
    first = first[order]
    tokens = np.clip(steps[engine] - first, 0, wanted)
    at = (np.cumsum(steps) - steps)[engine] + first
    times_ns = ends_ns[counting(at, tokens)] + outcome.loop.reply_delay_ns
    received = np.bincount(request[order], tokens, count).astype(np.int64)
    return received, times_ns / NS_PER_S


def step_ends_ns(outcome: Outcome, segments: Ints) -> Ints:
    """End of every iteration of the segments, one after the other."""
    start_ns, context = segments[:, Segment.start_ns], segments[:, Segment.context]
    steps, decoding = segments[:, Segment.steps], segments[:, Segment.decoding]
    until_ns = outcome.tables.until_ns
    mixed = context < 0
    # A step with prompts ends where it was seen to end, the others where the tables say.
    base = np.where(mixed, segments[:, Segment.duration_ns], -until_ns[decoding, context])
    row = np.repeat(np.where(mixed, 0, decoding), steps)
    column = counting(np.where(mixed, -1, context) + 1, steps)
    ends: Ints = until_ns[row, column] + np.repeat(start_ns + base, steps)
    return ends


def counting(first: Ints, counts: Ints) -> Ints:
    """For each i the numbers first[i], first[i] + 1... `counts[i]` of them, one after the other."""
    before = np.cumsum(counts) - counts
    numbers: Ints = np.arange(int(counts.sum())) + np.repeat(first - before, counts)
    return numbers


def lists(counts: Ints, values: NDArray[np.float64]) -> pa.Array:
    """A column whose row i is a list of the next `counts[i]` values."""
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, values)
