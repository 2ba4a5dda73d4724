"""Thousands of engines by several threads, to the same nanosecond as `closed_loop`.

What an engine does reaches another one over a user, no sooner than the delays on the way from an
engine through user and gateway to an engine allow. In a window of that length every thread plays
its own engines, with arrivals that are all known; then one thread lets the users of the requests
that ended send their next ones, in the order in which `closed_loop` would. A window knows
in advance which engines it will need, so that memory is prefetched.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from er.simulation.batching import Limits
from er.simulation.closed_loop import counted, send_due
from er.simulation.engines import arrive, count_tokens, finish, start, write_segment
from er.simulation.heaps import NEVER
from er.simulation.instructions import prefetch, wait_for_all
from er.simulation.jit import compiled, inner, outer
from er.simulation.tables import (
    LEAST_LOADED,
    REQUEST_MASK,
    UNRECORDED_COLUMNS,
    Engine,
    Engines,
    Ints,
    Prompts,
    Sent,
    Table,
    Tables,
    Times,
    engines_of,
)
from er.simulation.users import (
    At,
    Counted,
    Loop,
    Users,
    next_arrival,
    next_send,
    read_answers,
    users_of,
)

ENGINES_AT_LEAST = 1000  # fewer fit into the processor's cache, where a tournament tree is faster
LOOK_S = 0.2  # for idle processors
AHEAD = 8  # how many engines before its turn an engine is prefetched
INDEX_BITS = 24  # of a request among those that end in a window
INDEX_MASK = (1 << INDEX_BITS) - 1
ONE_AT_A_TIME = threading.Lock()  # threads that wait for each other need a processor each


def worthwhile(loop: Loop, prompts: Table, count: int, limits: Limits) -> bool:
    """Whether this driver can play that, and is the faster one."""
    return (
        count >= ENGINES_AT_LEAST
        and 0 < length_ns(loop) < (1 << 62 - INDEX_BITS) // count
        and len(loop.start_ns) < INDEX_MASK
        and len(loop.fail_ns) == 0
        and not limits.chunked_context  # more steps with prompts than prompts
        and not limits.max_utilization
        and not bool((prompts[:, Prompts.engine] == LEAST_LOADED).any())
    )


def idle_processors() -> int:
    """How many processors have nothing to do: threads that wait for each other need one each, and
    where others compete for it several are slower than one."""
    idle_share = 1 - psutil.cpu_percent(LOOK_S) / 100
    return max(1, round(idle_share * len(os.sched_getaffinity(0))))


@outer
def length_ns(loop: Loop) -> int:
    """The shortest time from an engine over a user to an engine."""
    return loop.reply_delay_ns + loop.gateway_ns + loop.request_delay_ns


def simulate(
    tables: Tables,
    limits: Limits,
    prompts: Table,
    warmup: int,
    loop: Loop,
    count: int,
    gaps: Ints,
    threads: int | None = None,
) -> tuple[Table, Ints, Ints, Ints, Counted]:
    """As `closed_loop.simulate` without recording; only the order of segments is another."""
    threads = threads or idle_processors()
    bounds = np.arange(threads + 1) * count // threads
    prompts_before = np.concatenate(
        [[0], np.cumsum(np.bincount(prompts[:, Prompts.engine], None, count))]
    )
    room = prompts_before[bounds].astype(np.int64)  # a step with prompts for each prompt at most
    segments = np.empty((len(prompts), UNRECORDED_COLUMNS), np.int64)
    engines = engines_of(count, limits, prompts, warmup, loop.unmeasured, gaps, loop.reply_delay_ns)
    own_gaps = on_huge_pages((threads, *gaps.shape), np.int64)
    with ThreadPoolExecutor(threads) as pool:  # fresh memory is slow: a second a gigabyte and more
        finish, sent, times = (
            pool.submit(on_huge_pages, table.shape, table.dtype.type)
            for table in (engines.finish, engines.sent, engines.times)
        )
    engines = engines._replace(finish=finish.result(), sent=sent.result(), times=times.result())
    users = users_of(loop, warmup, len(prompts))
    ended, order = np.zeros((2, threads, len(loop.start_ns) + 1), np.int64)
    over, kept, window = np.zeros(threads, np.int64), room[:-1].copy(), np.zeros(3, np.int64)
    gate = np.zeros(2, np.int64)
    active = np.zeros((threads, count), np.int64)

    def work(thread: int) -> None:
        play(
            thread,
            engines._replace(gaps=own_gaps[thread]),
            users,
            tables,
            bounds,
            segments,
            kept,
            ended,
            over,
            active[thread],
            order,
            window,
            gate,
        )

    with ONE_AT_A_TIME, ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, range(threads)):
            pass
    for of_thread in own_gaps:
        gaps += of_thread
    rows = close_up(segments, room[:-1], kept)
    sends = int(window[2])
    return (
        engines.sent[:sends],
        engines.times[:sends],
        segments[:rows],
        engines.pauses,
        counted(engines, users),
    )


def on_huge_pages(shape: tuple[int, ...], dtype: type[np.integer[Any]]) -> NDArray[Any]:
    """Zeros where the processor finds them without walking tables of pages: numpy asks for huge
    ones, but not for memory that comes as zeros."""
    made = np.empty(shape, dtype)
    made.fill(0)
    return made


@compiled
def play(
    thread: int,
    engines: Engines,
    users: Users,
    tables: Tables,
    bounds: Ints,
    segments: Ints,
    kept: Ints,
    ended: Ints,
    over: Ints,
    active: Ints,
    order: Ints,
    window: Ints,
    gate: Ints,
) -> None:
    """What one thread does until every request has ended: it plays the engines between two
    `bounds`. `window` has the beginning and the end of the present one, and how many requests were
    sent; the first thread sets it while the others wait."""
    threads = len(over)
    first, last = bounds[thread], bounds[thread + 1]
    while True:
        if thread == 0:
            next_window(engines, users, ended, order, over, window)
        wait_for_all(gate, threads)
        if window[0] == NEVER:
            break
        kept[thread], over[thread] = advance(
            engines,
            users,
            tables,
            first,
            last,
            window[1],
            segments,
            kept[thread],
            ended[thread],
            active,
        )
        put_in_order(engines, ended[thread, : over[thread]], window[0], order[thread])
        wait_for_all(gate, threads)


@inner
def put_in_order(engines: Engines, ended: Ints, begin: int, order: Ints) -> None:
    """Sort the requests that `ended` since `begin`, those of one instant engine after engine: the
    low bits of `order` are places in `ended`, and all of it compares with that of other threads."""
    for i in range(len(ended)):
        r = ended[i]
        since = engines.times[r, Times.end_ns] - engines.reply_delay_ns - begin
        place = since * len(engines.ends_ns) + engines.sent[r, Sent.engine]
        order[i] = (place << INDEX_BITS) | i
    sort(order[: len(ended)])


@inner
def advance(
    engines: Engines,
    users: Users,
    tables: Tables,
    first: int,
    last: int,
    until: int,
    segments: Ints,
    kept: int,
    ended: Ints,
    active: Ints,
) -> tuple[int, int]:
    """Play the engines from `first` to before `last` up to `until`. Returns how many segments are
    kept and how many requests have ended."""
    sent, ends_ns, arriving = engines.sent, engines.ends_ns, users.arriving
    ring, over = len(arriving) - 1, 0
    at, to = users.at[At.arriving_from], users.at[At.arriving_to]
    while at < to and arriving[at & ring, 0] < until:
        now, r = arriving[at & ring, 0], arriving[at & ring, 1]
        at += 1
        if at + 3 * AHEAD < to:
            prefetch_engine(engines, sent[arriving[(at + 3 * AHEAD) & ring, 1], Sent.engine])
            prefetch_requests(engines, sent[arriving[(at + 2 * AHEAD) & ring, 1], Sent.engine])
            prefetch_prompts(engines, sent[arriving[(at + AHEAD) & ring, 1], Sent.engine])
        e = sent[r, Sent.engine]
        if first <= e < last:
            kept, over = settle(engines, users, e, now, tables, segments, kept, ended, over)
            if ends_ns[e] == now and engines.state[e, Engine.steps]:
                kept, over = end_segment(engines, users, e, tables, segments, kept, ended, over)
            if arrive(engines, e, r, now, tables):
                ends_ns[e] = now
    due = 0
    for e in range(first, last):
        active[due] = e
        due += ends_ns[e] < until
    for i in range(due):
        if i + 3 * AHEAD < due:
            prefetch_engine(engines, active[i + 3 * AHEAD])
        if i + 2 * AHEAD < due:
            prefetch_requests(engines, active[i + 2 * AHEAD])
        if i + AHEAD < due:
            prefetch_prompts(engines, active[i + AHEAD])
        kept, over = settle(engines, users, active[i], until, tables, segments, kept, ended, over)
    return kept, over


@inner
def settle(
    engines: Engines,
    users: Users,
    e: int,
    before: int,
    tables: Tables,
    segments: Ints,
    kept: int,
    ended: Ints,
    over: int,
) -> tuple[int, int]:
    """Play engine `e` through all that happens to it before a time. An engine between two segments
    has no steps, and the end of the last one until it has begun the next."""
    while engines.ends_ns[e] < before:
        if engines.state[e, Engine.steps]:
            kept, over = end_segment(engines, users, e, tables, segments, kept, ended, over)
        else:
            start(engines, e, engines.ends_ns[e], tables)
    return kept, over


@inner
def end_segment(
    engines: Engines,
    users: Users,
    e: int,
    tables: Tables,
    segments: Ints,
    kept: int,
    ended: Ints,
    over: int,
) -> tuple[int, int]:
    """Leave engine `e` at the end of its segment."""
    now = engines.ends_ns[e]
    count_tokens(engines, e, now, tables.until_ns, users.at)
    kept = write_segment(engines, e, now, segments, kept)
    over = finish(engines, e, now, ended, over)
    engines.state[e, Engine.steps] = 0
    engines.ends_ns[e] = now
    return kept, over


@inner
def prefetch_engine(engines: Engines, e: int) -> None:
    """Prefetch what an engine's turn needs first."""
    prefetch(engines.state, e, 0)
    prefetch(engines.finish, e, 0)


@inner
def prefetch_requests(engines: Engines, e: int) -> None:
    """Prefetch the request that ends next, for the first that waits, and for where it will join."""
    state = engines.state
    r = engines.finish[e, 0] & REQUEST_MASK
    prefetch(engines.sent, r, 0)
    prefetch(engines.times, r, 0)
    prefetch(engines.finish, e, state[e, Engine.running])
    prefetch(engines.finish, e, state[e, Engine.running] >> 1)
    if state[e, Engine.head] >= 0:
        prefetch(engines.sent, state[e, Engine.head], 0)


@inner
def prefetch_prompts(engines: Engines, e: int) -> None:
    """Prefetch the prompts of these requests."""
    r = engines.finish[e, 0] & REQUEST_MASK
    prefetch(engines.prompts, engines.sent[r, Sent.prompt], 0)
    if engines.state[e, Engine.head] >= 0:
        r = engines.state[e, Engine.head]
        prefetch(engines.prompts, engines.sent[r, Sent.prompt], 0)


@inner
def next_window(
    engines: Engines, users: Users, ended: Ints, order: Ints, over: Ints, window: Ints
) -> None:
    """Let the users of requests that ended send, as far as all who send before them are known, and
    begin the next window."""
    while next_arrival(users) < window[1]:
        users.at[At.arriving_from] += 1
    merge(engines, users, ended, order, over)
    reply_ns = users.loop.reply_delay_ns
    now = next_send(users)
    while now < window[1] + reply_ns:
        window[2] = send_due(engines, users, now, window[2])
        now = next_send(users)
    # A request sent at `now` arrives no sooner than a window that begins reply_ns earlier ends.
    begin = next_arrival(users)
    if now < NEVER:
        begin = min(begin, now - reply_ns)
    for end_ns in engines.ends_ns:
        begin = min(begin, end_ns)
    window[0] = begin
    if window[0] < NEVER:
        window[1] = window[0] + length_ns(users.loop)


@inner
def merge(engines: Engines, users: Users, ended: Ints, order: Ints, over: Ints) -> None:
    """Let users go on in the order in which their requests ended, whichever thread saw them end."""
    for thread in range(len(over)):
        order[thread, over[thread]] = NEVER
        over[thread] = 0  # from here on: how many of them have gone on
    while True:
        first = 0
        for thread in range(1, len(over)):
            if order[thread, over[thread]] < order[first, over[first]]:
                first = thread
        least = order[first, over[first]]
        if least == NEVER:
            break
        over[first] += 1
        i = least & INDEX_MASK
        read_answers(users, engines.sent, engines.times, ended[first, i : i + 1])


@compiled
def sort(numbers: Ints) -> None:
    """Sort in place."""
    numbers.sort()


@compiled
def close_up(rows: Ints, first: Ints, last: Ints) -> int:
    """Move the rows from each `first` to before its `last` to the front, where those of the first
    part are; returns how many there are. numpy would copy what it moves onto itself."""
    count = last[0]
    for part in range(1, len(last)):
        for row in range(first[part], last[part]):
            rows[count] = rows[row]
            count += 1
    return int(count)
