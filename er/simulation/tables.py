"""What the simulation's compiled code works on: a few tables, a row for each engine or request.

The enumerations name their columns: every further array would cost compiled code a reference count
at each use.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from er.simulation.cost import StepCost
from er.simulation.heaps import NEVER, tournament
from er.simulation.limits import Limits

Ints = NDArray[np.int64]
Table = NDArray[np.int32]
REQUEST_BITS = 32  # of a finish-heap item; the iteration lies above
REQUEST_MASK = (1 << REQUEST_BITS) - 1
NO_ITERATION = np.iinfo(np.int32).max  # of a request that was never prefilled
LEAST_LOADED = -1  # in place of an engine


class Prompts(IntEnum):
    """Columns of prompts."""

    input = 0
    output = 1
    blocks = 2  # of KV cache that it reserves
    engine = 3  # that answers it; LEAST_LOADED: the one with the fewest requests at its arrival
    # With reuse of the KV cache only:
    chain = 4  # row of `Engines.chains`, the engine's number to be added if it is chosen at arrival
    shared = 5  # leading blocks that an earlier prompt of its group had


class Sent(IntEnum):
    """Columns of requests, in order of sending."""

    prompt = 0
    user = 1
    engine = 2  # LEAST_LOADED until it is chosen
    following = 3  # next request in its engine's queue
    # Not where thousands of engines are played, which record no iterations and do not fail:
    iteration = 4  # of its engine, in which it was prefilled
    failed = 5  # whether its engine failed; end_ns is then when the user learned of it


class Times(IntEnum):
    """Columns of the same requests' times, as their users see them."""

    send_ns = 0
    first_ns = 1  # first token
    end_ns = 2  # last token


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
    load = 13  # requests waiting or running
    partial = 14  # the request that is prefilled in chunks, -1 for none: it does not decode yet
    prefilled = 15  # tokens of its context
    joined = 16  # requests taken from the queue whose prefill the segment completes
    first_joined = 17
    completed = 18  # the request in chunks that the segment completes, -1 for none
    idle_blocks = 19  # free ones that hold chains
    oldest = 20  # chain that nobody uses, -1 for none
    newest = 21
    mean_context = 22  # of those that decode in the segment, at its start
    tokens = 23  # in the window in which they are counted


class Spell(IntEnum):
    """Columns of what else is kept of requests that can be paused, or reuse blocks: a request is in
    the batch for one spell, and for another after each pause."""

    generated = 0  # tokens before this spell
    pause = 1  # its last row of the pauses
    chained = 2  # how many of its blocks lie in its chain


class Pause(IntEnum):
    """Columns of pauses; times are those of the engine."""

    request = 0
    iteration = 1  # of its engine, in which the spell before the pause was prefilled
    tokens = 2  # of that spell
    paused_ns = 3
    resumed_ns = 4  # when it got its next token; 0 when it never did


class Chain(IntEnum):
    """Columns of the cached blocks of each group on each engine."""

    blocks = 0
    requests = 1  # requests that run
    older = 2  # neighbours among those without users, in the order they were left; -1 for none
    newer = 3


SENT_COLUMNS, TIMES_COLUMNS = len(Sent), len(Times)
SEGMENT_COLUMNS, ENGINE_COLUMNS = len(Segment), len(Engine)
SPELL_COLUMNS, PAUSE_COLUMNS, CHAIN_COLUMNS = len(Spell), len(Pause), len(Chain)
UNRECORDED_COLUMNS = 2  # of a segment
BRIEF_COLUMNS = 4  # of requests: a row of 16 bytes


class Tables(NamedTuple):
    """Step times of an engine, as compiled code takes them."""

    linear_ns: Ints
    decode_ns: Ints
    until_ns: Ints  # [B, c]: sum of decode_ns[B] below c
    prefill_ns: Ints
    launch_ns: int


class Engines(NamedTuple):
    """The state of all engines, and what they read and write."""

    state: Ints  # columns Engine
    finish: Ints  # of each engine a heap: last iteration and number of each running request
    ends_ns: Ints  # end of each engine's segment, NEVER when it has none
    loads: Ints  # tournament tree: requests of each engine; one leaf when nobody asks for it
    sent: Table  # columns Sent
    times: Ints  # columns Times
    prompts: Table  # columns Prompts
    first_measured: int  # prompt
    first_unmeasured: int  # of those behind the measured ones
    spells: Ints  # columns Spell, of each request; empty when none is paused and nothing reused
    needs: Ints  # of each engine: requests whose next block falls due in iteration i, at i modulo
    # tokens_per_block; empty when blocks are reserved
    chains: Ints  # columns Chain; empty without reuse
    pauses: Ints  # columns Pause
    paused: Ints  # one number: how many pauses there are
    gaps: Ints  # see closed_loop.simulate
    limits: Limits
    reply_delay_ns: int


def tables_of(cost: StepCost) -> Tables:
    """Step times, with the running sums that event skipping needs."""
    until = np.zeros((cost.decode_ns.shape[0], cost.decode_ns.shape[1] + 1), np.int64)
    np.cumsum(cost.decode_ns, axis=1, out=until[:, 1:])
    return Tables(cost.linear_ns, cost.decode_ns, until, cost.prefill_ns, cost.launch_ns)


def engines_of(
    count: int,
    limits: Limits,
    prompts: Table,
    warmup: int,
    unmeasured: int,
    gaps: Ints,
    reply_delay_ns: int,
) -> Engines:
    """So many idle engines; the first `warmup` and the last `unmeasured` prompts do not count."""
    state = np.zeros((count, ENGINE_COLUMNS), np.int64)
    state[:, Engine.free_blocks] = limits.kv_blocks
    for column in (Engine.head, Engine.partial, Engine.completed, Engine.oldest, Engine.newest):
        state[:, column] = -1
    spells = len(prompts) if limits.max_utilization or limits.kv_cache_reuse else 0
    chains = 0
    if limits.kv_cache_reuse:
        chains = int(prompts[:, Prompts.chain].max(initial=-1)) + 1 + count
    choose = bool((prompts[:, Prompts.engine] == LEAST_LOADED).any())
    loads = tournament(count if choose else 1)
    loads[len(loads) >> 1 :][:count] = 0
    for node in range((len(loads) >> 1) - 1, 0, -1):
        loads[node] = loads[2 * node : 2 * node + 2].min()
    return Engines(
        state,
        np.zeros((count, limits.max_batch_size), np.int64),
        np.full(count, NEVER),
        loads,
        np.zeros((len(prompts), SENT_COLUMNS), np.int32),
        np.zeros((len(prompts), TIMES_COLUMNS), np.int64),
        prompts,
        warmup,
        len(prompts) - unmeasured,
        np.zeros((spells, SPELL_COLUMNS), np.int64),
        np.zeros((count if limits.max_utilization else 0, limits.tokens_per_block), np.int64),
        np.zeros((chains, CHAIN_COLUMNS), np.int64),
        np.zeros((0, PAUSE_COLUMNS), np.int64),
        np.zeros(1, np.int64),
        gaps,
        limits,
        reply_delay_ns,
    )
