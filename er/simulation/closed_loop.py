"""Many users on many engines in virtual time: event skipping, exact to the nanosecond.

Between two changes of a batch's composition, K decode steps of B requests with a mean context of c
tokens take `until[B, c + K] - until[B, c]`, one difference of running sums in place of K
iterations, since the mean context grows by one a step. An arrival that can be admitted cuts such a
segment at the next iteration boundary. The result is that of `batching.Batch`, iteration by
iteration.

At one instant, first all iterations that end, then all sends, then all arrivals at engines are
handled, engines in order; then engines at a boundary start their next iteration.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from er.simulation.batching import Limits
from er.simulation.cost import StepCost
from er.simulation.heaps import NEVER, least_leaf, pop, push, set_key, tournament
from er.simulation.jit import compiled

Ints = NDArray[np.int64]
REQUEST_BITS = 32  # of a finish-heap item; the iteration lies above


class Tables(NamedTuple):
    """Step times of an engine, as compiled code takes them."""

    linear_ns: Ints
    decode_ns: Ints
    until_ns: Ints  # [B, c]: sum of decode_ns[B] below c
    prefill_ns: Ints
    launch_ns: int


class Work(NamedTuple):
    """What is asked for: warm-up prompts first, then those that are measured."""

    input_tokens: Ints
    output_tokens: Ints
    blocks: Ints  # of KV cache that each reserves
    engine: Ints  # which engine answers the prompt
    warmup: int  # how many are warm-up


class Loop(NamedTuple):
    """How users behave and what lies between them and the engines."""

    start_ns: Ints  # of each user, rising
    warmup_per_user: int
    once: bool  # open loop: every user sends a single request
    think_ns: Ints  # after each request, in order of sending; empty for none
    gateway_ns: int  # service time of the gateway, which handles one request at a time
    request_delay_ns: int  # from gateway to engine
    reply_delay_ns: int  # from engine to user, of every token


class Sent(NamedTuple):
    """Every request, in order of sending; times are those of the user."""

    prompt: Ints
    user: Ints
    send_ns: Ints
    first_ns: Ints  # first token
    end_ns: Ints  # last token
    iteration: Ints  # of its engine, in which it was prefilled


class Segments(NamedTuple):
    """What each engine did: `steps` iterations of `duration_ns` in all from `start_ns` on."""

    engine: Ints
    start_ns: Ints
    decoding: Ints  # requests that decoded; steps with prompts are segments of one
    context: Ints  # their mean context at the start
    steps: Ints
    duration_ns: Ints
    counted: Ints  # of those that decoded, how many are measured


class Engines(NamedTuple):
    """State of all engines."""

    clock_ns: Ints  # start of the segment under way
    steps: Ints  # of the segment under way; 0 when idle
    decoding: Ints  # requests that decode in it; others are prefilled
    mixed: Ints  # whether prompts are prefilled in it
    weight: Ints  # of those that decode in it, how many are measured
    counted: Ints  # of those running, how many are measured
    iteration: Ints
    running: Ints
    context: Ints  # tokens in the KV cache of running requests
    free_blocks: Ints
    head: Ints  # first waiting request, -1 for none
    tail: Ints
    finish: Ints  # by engine: heap of (iteration after the last token, request)
    ends_ns: Ints  # tournament tree: end of the segment under way


def tables_of(cost: StepCost) -> Tables:
    """Step times, with the running sums that event skipping needs."""
    until = np.zeros((cost.decode_ns.shape[0], cost.decode_ns.shape[1] + 1), np.int64)
    np.cumsum(cost.decode_ns, axis=1, out=until[:, 1:])
    return Tables(cost.linear_ns, cost.decode_ns, until, cost.prefill_ns, cost.launch_ns)


@compiled
def engines_at_rest(count: int, limits: Limits) -> Engines:
    """So many engines without work."""
    return Engines(
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        np.full(count, limits.kv_blocks, np.int64),
        np.full(count, -1, np.int64),
        np.full(count, -1, np.int64),
        np.zeros((count, limits.max_batch_size), np.int64),
        tournament(count),
    )


@compiled
def first_fits(
    engines: Engines, e: int, tokens: int, sent: Sent, work: Work, limits: Limits
) -> bool:
    """Whether the first waiting request can join a batch that already has `tokens` to process."""
    if engines.running[e] >= limits.max_batch_size:
        return False
    p = sent.prompt[engines.head[e]]
    if tokens + work.input_tokens[p] > limits.max_num_tokens:
        return False
    return bool(work.blocks[p] <= engines.free_blocks[e])


@compiled
def start(
    engines: Engines,
    e: int,
    now: int,
    following: Ints,
    sent: Sent,
    work: Work,
    tables: Tables,
    limits: Limits,
    reply_delay_ns: int,
) -> None:
    """Admit who fits and begin engine `e`'s next segment at `now`."""
    decoding, context = engines.running[e], engines.context[e]
    mean_context = context // decoding if decoding else 0
    tokens, attention_ns = decoding, 0
    engines.weight[e] = engines.counted[e]
    first = engines.head[e]
    while engines.head[e] >= 0 and first_fits(engines, e, tokens, sent, work, limits):
        r = engines.head[e]
        p = sent.prompt[r]
        engines.head[e] = following[r]
        finish = engines.iteration[e] + work.output_tokens[p]
        push(engines.finish[e], engines.running[e], (finish << REQUEST_BITS) | r)
        sent.iteration[r] = engines.iteration[e]
        engines.running[e] += 1
        engines.counted[e] += p >= work.warmup
        engines.free_blocks[e] -= work.blocks[p]
        engines.context[e] += work.input_tokens[p]
        tokens += work.input_tokens[p]
        attention_ns += tables.prefill_ns[work.input_tokens[p]]
    engines.clock_ns[e] = now
    engines.decoding[e] = decoding
    engines.mixed[e] = tokens > decoding
    if tokens > decoding:
        shared_ns = tables.linear_ns[tokens] - tables.linear_ns[decoding]
        duration_ns = tables.decode_ns[decoding, mean_context] + shared_ns
        end = now + duration_ns + tables.launch_ns + attention_ns
        engines.steps[e] = 1
        while first != engines.head[e]:
            sent.first_ns[first] = end + reply_delay_ns
            first = following[first]
    elif decoding:
        engines.steps[e] = (engines.finish[e, 0] >> REQUEST_BITS) - engines.iteration[e]
        until_ns = tables.until_ns[decoding]
        end = now + until_ns[mean_context + engines.steps[e]] - until_ns[mean_context]
    else:
        engines.steps[e] = 0
        end = NEVER
    set_key(engines.ends_ns, e, end)


@compiled
def cut(engines: Engines, e: int, now: int, tables: Tables) -> int:
    """Shorten a segment of decode steps to its first boundary at or after `now`; returns it."""
    decoding = engines.running[e]
    context = engines.context[e] // decoding
    until_ns = tables.until_ns[decoding]
    target = now - engines.clock_ns[e] + until_ns[context]
    low, high = 1, engines.steps[e]
    while low < high:
        middle = (low + high) >> 1
        if until_ns[context + middle] >= target:
            high = middle
        else:
            low = middle + 1
    engines.steps[e] = low
    return int(engines.clock_ns[e] + until_ns[context + low] - until_ns[context])


@compiled
def simulate(
    tables: Tables, limits: Limits, work: Work, loop: Loop, count: int, gaps: Ints, record: bool
) -> tuple[Sent, Segments, int]:
    """Play the users on `count` engines until every request has ended.

    Running sums of `gaps[B]` give how many gaps between two tokens of measured requests took
    decode_ns[B, c]; those of steps with prompts are in the segments, of which without `record` only
    the last two columns are kept, and of steps with prompts only. Returns the requests, the
    segments, and how many of the latter there are.
    """
    users, prompts = len(loop.start_ns), len(work.input_tokens)
    sent = Sent(
        np.zeros(prompts, np.int64),
        np.zeros(prompts, np.int64),
        np.zeros(prompts, np.int64),
        np.zeros(prompts, np.int64),
        np.zeros(prompts, np.int64),
        np.zeros(prompts, np.int64),
    )
    size = 3 * prompts if record else prompts
    segments = Segments(
        np.zeros(size if record else 0, np.int64),
        np.zeros(size if record else 0, np.int64),
        np.zeros(size if record else 0, np.int64),
        np.zeros(size if record else 0, np.int64),
        np.zeros(size if record else 0, np.int64),
        np.zeros(size, np.int64),
        np.zeros(size, np.int64),
    )
    kept = 0
    engines = engines_at_rest(count, limits)
    following = np.full(prompts, -1, np.int64)  # next request in an engine's queue
    at_boundary = np.zeros(count, np.int64)
    warmup_left = np.full(users, loop.warmup_per_user, np.int64)

    room = 1
    while room < users:
        room *= 2
    ring = room - 1  # a mask: each user is at most once in a ring
    # Users about to send: a ring in order of time, or a tournament tree when they think.
    thinks = len(loop.think_ns) > 0
    thinking = tournament(users if thinks else 1)
    send_ns = np.zeros(room, np.int64)
    send_user = np.zeros(room, np.int64)
    sends_from, sends_to = 0, 0
    # Requests between gateway and engine, in order of time.
    arrive_ns = np.zeros(room, np.int64)
    arrive_request = np.zeros(room, np.int64)
    arrivals_from, arrivals_to = 0, 0
    gateway_free_ns = np.int64(0)
    next_request, next_warmup, next_measured = 0, 0, work.warmup
    started = 0

    while True:
        now = engines.ends_ns[1]
        if started < users and loop.start_ns[started] < now:
            now = loop.start_ns[started]
        if sends_from < sends_to and send_ns[sends_from & ring] < now:
            now = send_ns[sends_from & ring]
        if thinking[1] < now:
            now = thinking[1]
        if arrivals_from < arrivals_to and arrive_ns[arrivals_from & ring] < now:
            now = arrive_ns[arrivals_from & ring]
        if now == NEVER:
            break
        boundaries = 0

        while engines.ends_ns[1] == now:
            e = least_leaf(engines.ends_ns)
            running, steps = engines.running[e], engines.steps[e]
            decoding = engines.decoding[e]
            mean_context = engines.context[e] // running
            if engines.mixed[e] or record:
                segments.duration_ns[kept] = now - engines.clock_ns[e]
                segments.counted[kept] = engines.weight[e]
                if record:
                    segments.engine[kept] = e
                    segments.start_ns[kept] = engines.clock_ns[e]
                    segments.decoding[kept] = decoding
                    segments.context[kept] = -1 if engines.mixed[e] else mean_context
                    segments.steps[kept] = steps
                kept += 1
            if not engines.mixed[e]:
                gaps[decoding, mean_context] += engines.weight[e]
                gaps[decoding, mean_context + steps] -= engines.weight[e]
            engines.iteration[e] += steps
            engines.context[e] += steps * running
            while running and engines.finish[e, 0] >> REQUEST_BITS == engines.iteration[e]:
                r = pop(engines.finish[e], running) & ((1 << REQUEST_BITS) - 1)
                running -= 1
                p = sent.prompt[r]
                engines.free_blocks[e] += work.blocks[p]
                engines.counted[e] -= p >= work.warmup
                engines.context[e] -= work.input_tokens[p] + work.output_tokens[p]
                sent.end_ns[r] = now + loop.reply_delay_ns
                if thinks:
                    set_key(thinking, sent.user[r], sent.end_ns[r] + loop.think_ns[r])
                elif not loop.once:
                    send_ns[sends_to & ring] = sent.end_ns[r]
                    send_user[sends_to & ring] = sent.user[r]
                    sends_to += 1
            engines.running[e] = running
            set_key(engines.ends_ns, e, NEVER)
            at_boundary[boundaries] = e
            boundaries += 1

        while True:
            if sends_from < sends_to and send_ns[sends_from & ring] == now:
                user = send_user[sends_from & ring]
                sends_from += 1
            elif thinking[1] == now:
                user = least_leaf(thinking)
                set_key(thinking, user, NEVER)
            elif started < users and loop.start_ns[started] == now:
                user = started
                started += 1
            else:
                break
            if warmup_left[user] > 0 and next_warmup < work.warmup:
                warmup_left[user] -= 1
                p = next_warmup
                next_warmup += 1
            elif next_measured < prompts:
                p = next_measured
                next_measured += 1
            else:
                continue
            r = next_request
            next_request += 1
            sent.prompt[r] = p
            sent.user[r] = user
            sent.send_ns[r] = now
            gateway_free_ns = max(gateway_free_ns, now) + loop.gateway_ns
            arrive_ns[arrivals_to & ring] = gateway_free_ns + loop.request_delay_ns
            arrive_request[arrivals_to & ring] = r
            arrivals_to += 1

        while arrivals_from < arrivals_to and arrive_ns[arrivals_from & ring] == now:
            r = arrive_request[arrivals_from & ring]
            arrivals_from += 1
            e = work.engine[sent.prompt[r]]
            waiting = engines.head[e] >= 0
            if waiting:
                following[engines.tail[e]] = r
            else:
                engines.head[e] = r
            engines.tail[e] = r
            if waiting:
                continue
            if engines.steps[e] == 0:
                at_boundary[boundaries] = e
                boundaries += 1
            elif (
                not engines.mixed[e]
                and engines.ends_ns[e + (len(engines.ends_ns) >> 1)] != NEVER
                and first_fits(engines, e, engines.running[e], sent, work, limits)
            ):
                set_key(engines.ends_ns, e, cut(engines, e, now, tables))

        for i in range(boundaries):
            start(
                engines,
                at_boundary[i],
                now,
                following,
                sent,
                work,
                tables,
                limits,
                loop.reply_delay_ns,
            )
    return sent, segments, kept
