"""Many users on many engines in virtual time: event skipping, exact to the nanosecond.

Between two changes of a batch's composition, K decode steps of B requests with a mean context of c
tokens take `until[B, c + K] - until[B, c]`, one difference of running sums in place of K
iterations, since the mean context grows by one a step. An arrival that can be admitted cuts such a
segment at the next iteration boundary. The result is that of `batching.Batch`, iteration by
iteration.

At one instant, first all iterations that end, then engines that fail, then all sends, then all
arrivals at engines are handled, engines in order; then engines at a boundary start their next
iteration. A failed engine's requests and those that come later end at once, unanswered.

State lies in a few tables, a row for each engine or request, whose columns the enumerations below
name: every further array would cost compiled code a reference count at each use.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from er.simulation.batching import Limits
from er.simulation.cost import StepCost
from er.simulation.heaps import NEVER, least_leaf, pop, push, set_key, tournament
from er.simulation.jit import compiled

Ints = NDArray[np.int64]
Table = NDArray[np.int32]
REQUEST_BITS = 32  # of a finish-heap item; the iteration lies above
REQUEST_MASK = (1 << REQUEST_BITS) - 1


class Prompts(IntEnum):
    """Columns of what is asked for."""

    input = 0
    output = 1
    blocks = 2  # of KV cache that it reserves
    engine = 3  # that answers it


class Sent(IntEnum):
    """Columns of requests, in order of sending; times are those of the user."""

    prompt = 0
    user = 1
    send_ns = 2
    first_ns = 3  # first token
    end_ns = 4  # last token
    iteration = 5  # of its engine, in which it was prefilled
    following = 6  # next request in its engine's queue
    failed = 7  # whether its engine failed; end_ns is then when the user learned of it


class Segment(IntEnum):
    """Columns of what engines did: `steps` iterations without a change of the batch."""

    duration_ns = 0  # of all its steps
    counted = 1  # of those that decode, how many are measured
    engine = 2
    start_ns = 3
    decoding = 4  # requests that decode
    context = 5  # their mean context at the start; -1 for a step with prompts
    steps = 6


class Engine(IntEnum):
    """Columns of the state of engines; `segment` is the one under way."""

    clock_ns = 0  # start of the segment
    steps = 1  # of the segment; 0 when idle
    decoding = 2  # in the segment; others running are prefilled
    weight = 3  # of those that decode in it, how many are measured
    mixed = 4  # whether prompts are prefilled in the segment
    iteration = 5
    running = 6
    counted = 7  # of those running, how many are measured
    context = 8  # tokens in the KV cache of running requests
    free_blocks = 9
    head = 10  # first waiting request, -1 for none
    tail = 11
    failed = 12


SENT_COLUMNS, SEGMENT_COLUMNS, ENGINE_COLUMNS = len(Sent), len(Segment), len(Engine)


class Tables(NamedTuple):
    """Step times of an engine, as compiled code takes them."""

    linear_ns: Ints
    decode_ns: Ints
    until_ns: Ints  # [B, c]: sum of decode_ns[B] below c
    prefill_ns: Ints
    launch_ns: int


class Loop(NamedTuple):
    """How users behave and what lies between them and the engines."""

    start_ns: Ints  # of each user, rising
    warmup_per_user: int
    once: bool  # open loop: every user sends a single request
    think_ns: Ints  # after each request, in order of sending; empty for none
    gateway_ns: int  # service time of the gateway, which handles one request at a time
    request_delay_ns: int  # from gateway to engine
    reply_delay_ns: int  # from engine to user, of every token
    fail_ns: Ints  # when each engine fails, NEVER for one that does not; empty when none does


def tables_of(cost: StepCost) -> Tables:
    """Step times, with the running sums that event skipping needs."""
    until = np.zeros((cost.decode_ns.shape[0], cost.decode_ns.shape[1] + 1), np.int64)
    np.cumsum(cost.decode_ns, axis=1, out=until[:, 1:])
    return Tables(cost.linear_ns, cost.decode_ns, until, cost.prefill_ns, cost.launch_ns)


@compiled
def first_fits(
    engines: Ints, e: int, tokens: int, sent: Ints, prompts: Table, limits: Limits
) -> bool:
    """Whether the first waiting request can join a batch that already has `tokens` to process."""
    if engines[e, Engine.running] >= limits.max_batch_size:
        return False
    p = sent[engines[e, Engine.head], Sent.prompt]
    if tokens + prompts[p, Prompts.input] > limits.max_num_tokens:
        return False
    return bool(prompts[p, Prompts.blocks] <= engines[e, Engine.free_blocks])


@compiled
def start(
    engines: Ints,
    finish: Ints,
    ends_ns: Ints,
    e: int,
    now: int,
    sent: Ints,
    prompts: Table,
    warmup: int,
    linear_ns: Ints,
    decode_ns: Ints,
    until_ns: Ints,
    prefill_ns: Ints,
    launch_ns: int,
    limits: Limits,
    reply_delay_ns: int,
) -> None:
    """Admit who fits and begin engine `e`'s next segment at `now`."""
    decoding = engines[e, Engine.running]
    mean_context = engines[e, Engine.context] // decoding if decoding else 0
    engines[e, Engine.clock_ns] = now
    engines[e, Engine.decoding] = decoding
    engines[e, Engine.weight] = engines[e, Engine.counted]
    tokens, attention_ns = decoding, 0
    first = engines[e, Engine.head]
    while engines[e, Engine.head] >= 0 and first_fits(engines, e, tokens, sent, prompts, limits):
        r = engines[e, Engine.head]
        p = sent[r, Sent.prompt]
        last = engines[e, Engine.iteration] + prompts[p, Prompts.output]
        push(finish, e, engines[e, Engine.running], (last << REQUEST_BITS) | r)
        sent[r, Sent.iteration] = engines[e, Engine.iteration]
        engines[e, Engine.head] = sent[r, Sent.following]
        engines[e, Engine.running] += 1
        engines[e, Engine.counted] += p >= warmup
        engines[e, Engine.free_blocks] -= prompts[p, Prompts.blocks]
        engines[e, Engine.context] += prompts[p, Prompts.input]
        tokens += prompts[p, Prompts.input]
        attention_ns += prefill_ns[prompts[p, Prompts.input]]
    engines[e, Engine.mixed] = tokens > decoding
    if tokens > decoding:
        shared_ns = linear_ns[tokens] - linear_ns[decoding]
        end = now + decode_ns[decoding, mean_context] + shared_ns + launch_ns + attention_ns
        engines[e, Engine.steps] = 1
        while first != engines[e, Engine.head]:
            sent[first, Sent.first_ns] = end + reply_delay_ns
            first = sent[first, Sent.following]
    elif decoding:
        steps = (finish[e, 0] >> REQUEST_BITS) - engines[e, Engine.iteration]
        engines[e, Engine.steps] = steps
        end = now + until_ns[decoding, mean_context + steps] - until_ns[decoding, mean_context]
    else:
        engines[e, Engine.steps] = 0
        end = NEVER
    set_key(ends_ns, e, end)


@compiled
def cut(engines: Ints, e: int, now: int, until_ns: Ints) -> int:
    """Shorten a segment of decode steps to its first boundary at or after `now`; returns it."""
    decoding = engines[e, Engine.running]
    context = engines[e, Engine.context] // decoding
    begin = engines[e, Engine.clock_ns] - until_ns[decoding, context]
    low, high = 1, engines[e, Engine.steps]
    while low < high:
        middle = (low + high) >> 1
        if begin + until_ns[decoding, context + middle] >= now:
            high = middle
        else:
            low = middle + 1
    engines[e, Engine.steps] = low
    return int(begin + until_ns[decoding, context + low])


@compiled
def steps_before(engines: Ints, e: int, now: int, until_ns: Ints) -> int:
    """How many steps of a segment of decode steps have ended by `now`."""
    decoding = engines[e, Engine.running]
    context = engines[e, Engine.context] // decoding
    begin = engines[e, Engine.clock_ns] - until_ns[decoding, context]
    low, high = 0, engines[e, Engine.steps]
    while low < high:
        middle = (low + high + 1) >> 1
        if begin + until_ns[decoding, context + middle] <= now:
            low = middle
        else:
            high = middle - 1
    return int(low)


@compiled
def fail(engines: Ints, finish: Ints, e: int, sent: Ints, victims: Ints) -> int:
    """Take engine `e` out of service; returns how many `victims` it leaves, in order of sending."""
    running = engines[e, Engine.running]
    under_way = engines[e, Engine.mixed] and engines[e, Engine.steps]
    for i in range(running):
        r = finish[e, i] & REQUEST_MASK
        victims[i] = r
        if under_way and sent[r, Sent.iteration] == engines[e, Engine.iteration]:
            sent[r, Sent.first_ns] = 0
    victims[:running].sort()
    count = running
    r = engines[e, Engine.head]
    while r >= 0:
        sent[r, Sent.iteration] = NEVER >> 1  # never
        victims[count] = r
        count += 1
        r = sent[r, Sent.following]
    engines[e, Engine.head] = -1
    engines[e, Engine.running] = 0
    engines[e, Engine.failed] = 1
    return int(count)


@compiled
def simulate(
    tables: Tables,
    limits: Limits,
    prompts: Table,
    warmup: int,
    loop: Loop,
    count: int,
    gaps: Ints,
    record: bool,
) -> tuple[Ints, int, Ints, int]:
    """Play the users on `count` engines until every request has ended.

    `prompts` has the columns `Prompts`; the first `warmup` of them are warm-up. Running sums of
    `gaps[B]` give how many gaps between two tokens of measured requests took decode_ns[B, c]; those
    of steps with prompts are in the segments, of which without `record` only the first two columns
    are kept, and of steps with prompts only. Returns the requests (columns `Sent`) and how many
    there are, the segments (columns `Segment`) and how many there are.
    """
    linear_ns, decode_ns, until_ns = tables.linear_ns, tables.decode_ns, tables.until_ns
    prefill_ns, launch_ns = tables.prefill_ns, tables.launch_ns
    start_ns, think_ns = loop.start_ns, loop.think_ns
    users, asked = len(start_ns), len(prompts)
    sent = np.zeros((asked, SENT_COLUMNS), np.int64)
    segments = np.empty(
        (3 * asked if record else asked, SEGMENT_COLUMNS if record else 2), np.int64
    )
    sends, kept = 0, 0

    engines = np.zeros((count, ENGINE_COLUMNS), np.int64)
    engines[:, Engine.free_blocks] = limits.kv_blocks
    engines[:, Engine.head] = -1
    finish = np.zeros((count, limits.max_batch_size), np.int64)  # heaps: last iteration, request
    ends_ns = tournament(count)  # end of the segment under way
    leaves = len(ends_ns) >> 1
    at_boundary = np.zeros(count, np.int64)

    room = 1
    while room < users:
        room *= 2
    ring = room - 1  # a mask: each user is at most once in a ring
    # Users about to send: a ring in order of time, or a tournament tree when they think.
    thinks = len(think_ns) > 0
    thinking = tournament(users if thinks else 1)
    ready = np.zeros((room, 2), np.int64)  # time, user
    ready_from, ready_to = 0, 0
    # Requests between gateway and engine, in order of time.
    arriving = np.zeros((room, 2), np.int64)  # time, request
    arriving_from, arriving_to = 0, 0
    gateway_free_ns = np.int64(0)
    warmup_left = np.full(users, loop.warmup_per_user, np.int64)
    next_warmup, next_measured, started = 0, warmup, 0
    fail_ns = loop.fail_ns
    failing = np.argsort(fail_ns, kind="mergesort")  # engines in order, at one instant
    next_failing = 0
    victims = np.zeros(users, np.int64)

    while True:
        now = ends_ns[1]
        if started < users:
            now = min(now, start_ns[started])
        if ready_from < ready_to:
            now = min(now, ready[ready_from & ring, 0])
        if thinks:
            now = min(now, thinking[1])
        if arriving_from < arriving_to:
            now = min(now, arriving[arriving_from & ring, 0])
        if now == NEVER:
            break
        if next_failing < len(failing):
            now = min(now, fail_ns[failing[next_failing]])
        boundaries, lost = 0, 0

        while ends_ns[1] == now:
            e = least_leaf(ends_ns)
            running, steps = engines[e, Engine.running], engines[e, Engine.steps]
            decoding, weight = engines[e, Engine.decoding], engines[e, Engine.weight]
            mixed = engines[e, Engine.mixed]
            mean_context = engines[e, Engine.context] // running
            if mixed or record:
                segments[kept, Segment.duration_ns] = now - engines[e, Engine.clock_ns]
                segments[kept, Segment.counted] = weight
                if record:
                    segments[kept, Segment.engine] = e
                    segments[kept, Segment.start_ns] = engines[e, Engine.clock_ns]
                    segments[kept, Segment.decoding] = decoding
                    segments[kept, Segment.context] = -1 if mixed else mean_context
                    segments[kept, Segment.steps] = steps
                kept += 1
            if not mixed:
                gaps[decoding, mean_context] += weight
                gaps[decoding, mean_context + steps] -= weight
            engines[e, Engine.iteration] += steps
            engines[e, Engine.context] += steps * running
            while running and finish[e, 0] >> REQUEST_BITS == engines[e, Engine.iteration]:
                r = pop(finish, e, running) & REQUEST_MASK
                p = sent[r, Sent.prompt]
                running -= 1
                engines[e, Engine.counted] -= p >= warmup
                engines[e, Engine.free_blocks] += prompts[p, Prompts.blocks]
                engines[e, Engine.context] -= prompts[p, Prompts.input] + prompts[p, Prompts.output]
                sent[r, Sent.end_ns] = now + loop.reply_delay_ns
                if thinks:
                    set_key(thinking, sent[r, Sent.user], sent[r, Sent.end_ns] + think_ns[r])
                elif not loop.once:
                    ready[ready_to & ring, 0] = sent[r, Sent.end_ns]
                    ready[ready_to & ring, 1] = sent[r, Sent.user]
                    ready_to += 1
            engines[e, Engine.running] = running
            set_key(ends_ns, e, NEVER)
            at_boundary[boundaries] = e
            boundaries += 1

        while next_failing < len(failing) and fail_ns[failing[next_failing]] == now:
            e = failing[next_failing]
            next_failing += 1
            if ends_ns[leaves + e] != NEVER and not engines[e, Engine.mixed]:
                running, weight = engines[e, Engine.running], engines[e, Engine.weight]
                mean_context = engines[e, Engine.context] // running
                steps = steps_before(engines, e, now, until_ns)
                gaps[running, mean_context] += weight
                gaps[running, mean_context + steps] -= weight
                engines[e, Engine.iteration] += steps
                if record and steps:
                    segments[kept, Segment.duration_ns] = (
                        until_ns[running, mean_context + steps] - until_ns[running, mean_context]
                    )
                    segments[kept, Segment.counted] = weight
                    segments[kept, Segment.engine] = e
                    segments[kept, Segment.start_ns] = engines[e, Engine.clock_ns]
                    segments[kept, Segment.decoding] = running
                    segments[kept, Segment.context] = mean_context
                    segments[kept, Segment.steps] = steps
                    kept += 1
            lost += fail(engines, finish, e, sent, victims[lost:])
            set_key(ends_ns, e, NEVER)
        for i in range(lost):
            r = victims[i]
            sent[r, Sent.failed] = 1
            sent[r, Sent.end_ns] = now + loop.reply_delay_ns
            if thinks:
                set_key(thinking, sent[r, Sent.user], sent[r, Sent.end_ns] + think_ns[r])
            elif not loop.once:
                ready[ready_to & ring, 0] = sent[r, Sent.end_ns]
                ready[ready_to & ring, 1] = sent[r, Sent.user]
                ready_to += 1

        while True:
            if ready_from < ready_to and ready[ready_from & ring, 0] == now:
                user = ready[ready_from & ring, 1]
                ready_from += 1
            elif thinks and thinking[1] == now:
                user = least_leaf(thinking)
                set_key(thinking, user, NEVER)
            elif started < users and start_ns[started] == now:
                user = started
                started += 1
            else:
                break
            if warmup_left[user] > 0 and next_warmup < warmup:
                warmup_left[user] -= 1
                p = next_warmup
                next_warmup += 1
            elif next_measured < asked:
                p = next_measured
                next_measured += 1
            else:
                continue
            sent[sends, Sent.prompt] = p
            sent[sends, Sent.user] = user
            sent[sends, Sent.send_ns] = now
            sent[sends, Sent.following] = -1
            gateway_free_ns = max(gateway_free_ns, now) + loop.gateway_ns
            arriving[arriving_to & ring, 0] = gateway_free_ns + loop.request_delay_ns
            arriving[arriving_to & ring, 1] = sends
            arriving_to += 1
            sends += 1

        while arriving_from < arriving_to and arriving[arriving_from & ring, 0] == now:
            r = arriving[arriving_from & ring, 1]
            arriving_from += 1
            e = prompts[sent[r, Sent.prompt], Prompts.engine]
            if engines[e, Engine.failed]:
                sent[r, Sent.iteration] = NEVER >> 1  # never
                sent[r, Sent.failed] = 1
                sent[r, Sent.end_ns] = now + loop.reply_delay_ns
                if thinks:
                    set_key(thinking, sent[r, Sent.user], sent[r, Sent.end_ns] + think_ns[r])
                elif not loop.once:
                    ready[ready_to & ring, 0] = sent[r, Sent.end_ns]
                    ready[ready_to & ring, 1] = sent[r, Sent.user]
                    ready_to += 1
                continue
            if engines[e, Engine.head] >= 0:
                sent[engines[e, Engine.tail], Sent.following] = r
                engines[e, Engine.tail] = r
                continue
            engines[e, Engine.head] = r
            engines[e, Engine.tail] = r
            if engines[e, Engine.steps] == 0:
                at_boundary[boundaries] = e
                boundaries += 1
            elif (
                not engines[e, Engine.mixed]
                and ends_ns[leaves + e] != NEVER
                and first_fits(engines, e, engines[e, Engine.running], sent, prompts, limits)
            ):
                set_key(ends_ns, e, cut(engines, e, now, until_ns))

        for i in range(boundaries):
            if engines[at_boundary[i], Engine.failed]:
                continue
            start(
                engines,
                finish,
                ends_ns,
                at_boundary[i],
                now,
                sent,
                prompts,
                warmup,
                linear_ns,
                decode_ns,
                until_ns,
                prefill_ns,
                launch_ns,
                limits,
                loop.reply_delay_ns,
            )
    return sent, sends, segments, kept
