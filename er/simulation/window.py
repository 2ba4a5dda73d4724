"""What one of several threads does in a window of time: compiled code.

See `windows`: every thread plays engines of its own until the window ends, with arrivals that are
all known; then users send. A window knows in advance which engines it will need, so that memory is
prefetched.
"""

from er.simulation.engines import arrive, count_tokens, finish, start, write_segment
from er.simulation.heaps import NEVER
from er.simulation.instructions import wait_for_all
from er.simulation.jit import compiled, inner
from er.simulation.prefetching import AHEAD, prefetch_engine, prefetch_prompts, prefetch_requests
from er.simulation.tables import Engine, Engines, Ints, Sent, Table, Tables, Times
from er.simulation.users import At, Users
from er.simulation.window_users import (
    INDEX_BITS,
    Window,
    count_sent,
    next_window,
    send_alike,
    send_in_turn,
)


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
    arrivals: Ints,
    order: Ints,
    cursors: Ints,
    parts: Ints,
    window: Ints,
    gate: Ints,
) -> None:
    """What one thread does until every request has ended: it plays the engines between two
    `bounds`. The first thread alone changes `window` (columns `Window`) and `users.at`, while
    nobody reads them."""
    threads = len(over)
    first, last = bounds[thread], bounds[thread + 1]
    while True:
        if thread == 0:
            next_window(engines, users, window)
        wait_for_all(gate, threads)
        if window[Window.begin_ns] == NEVER:
            break
        alike = window[Window.alike]  # the first thread may be in the next window before the others
        kept[thread], over[thread] = advance(
            engines,
            users,
            tables,
            first,
            last,
            window,
            segments,
            kept[thread],
            ended[thread],
            active,
            arrivals,
        )
        put_in_order(engines, ended[thread, : over[thread]], window[Window.begin_ns], order[thread])
        wait_for_all(gate, threads)
        if alike:
            send_alike(
                thread, engines, users, ended, order, over, cursors[thread], parts[thread], window
            )
            wait_for_all(gate, threads)
            if thread == 0:
                count_sent(users, over, parts, window)
        elif thread == 0:
            send_in_turn(engines, users, ended, order, over, cursors[thread], window)


@inner
def put_in_order(engines: Engines, ended: Ints, begin: int, order: Ints) -> None:
    """Sort the requests that `ended` since `begin`, those of one instant engine after engine: the
    low bits of `order` are places in `ended`, and all of it compares with that of other threads.
    NEVER comes last."""
    for i in range(len(ended)):
        r = ended[i]
        since = engines.times[r, Times.end_ns] - engines.reply_delay_ns - begin
        place = since * len(engines.ends_ns) + engines.sent[r, Sent.engine]
        order[i] = (place << INDEX_BITS) | i
    sort(order[: len(ended)])
    order[len(ended)] = NEVER


@inner
def advance(
    engines: Engines,
    users: Users,
    tables: Tables,
    first: int,
    last: int,
    window: Ints,
    segments: Ints,
    kept: int,
    ended: Ints,
    active: Ints,
    arrivals: Ints,
) -> tuple[int, int]:
    """Play the engines from `first` to before `last` to the end of the window: each up to every
    request that arrives at it, in the order of arrival, then to the end. Returns how many segments
    are kept and how many requests have ended.

    An engine between two segments has no steps, and the end of the last one until it has begun the
    next. All of this is built into one loop once, which halves the time of compilation.
    """
    state, sent, ends_ns, arriving = engines.state, engines.sent, engines.ends_ns, users.arriving
    over, at, turn, due, until = 0, 0, 0, -1, window[Window.end_ns]
    to = list_arrivals(users, sent, first, last, window[Window.arrived], arrivals)
    while True:
        if at < to:
            now, r = arriving[arrivals[at], 0], arriving[arrivals[at], 1]
            e = sent[r, Sent.engine]
            at += 1
            if at + 3 * AHEAD < to:
                prefetch_engine(engines, arrives_at(users, sent, arrivals[at + 3 * AHEAD]))
                prefetch_requests(engines, arrives_at(users, sent, arrivals[at + 2 * AHEAD]))
                prefetch_prompts(engines, arrives_at(users, sent, arrivals[at + AHEAD]), tables)
        else:
            if due < 0:
                due = list_engines(ends_ns, first, last, until, active)
            if turn == due:
                break
            e, now, r = active[turn], until, -1
            turn += 1
            if turn + 3 * AHEAD < due:
                prefetch_engine(engines, active[turn + 3 * AHEAD])
            if turn + 2 * AHEAD < due:
                prefetch_requests(engines, active[turn + 2 * AHEAD])
            if turn + AHEAD < due:
                prefetch_prompts(engines, active[turn + AHEAD], tables)
        while ends_ns[e] < now or (r >= 0 and ends_ns[e] == now and state[e, Engine.steps]):
            if state[e, Engine.steps]:
                kept, over = end_segment(engines, users, e, tables, segments, kept, ended, over)
            else:
                start(engines, e, ends_ns[e], tables)
        if r >= 0 and arrive(engines, e, r, now, tables):
            ends_ns[e] = now
    return kept, over


@inner
def list_arrivals(
    users: Users, sent: Table, first: int, last: int, arrived: int, arrivals: Ints
) -> int:
    """Write where in the ring the requests are that arrive at these engines in the window; returns
    how many there are. Lines of other threads' engines are not to be touched, not even ahead."""
    count, ring = 0, len(users.arriving) - 1
    for at in range(users.at[At.arriving_from], arrived):
        arrivals[count] = at & ring
        count += first <= arrives_at(users, sent, at & ring) < last
    return count


@inner
def arrives_at(users: Users, sent: Table, place: int) -> int:
    """The engine of a request in the ring."""
    return int(sent[users.arriving[place, 1], Sent.engine])


@inner
def list_engines(ends_ns: Ints, first: int, last: int, until: int, active: Ints) -> int:
    """Write the engines with something to do before `until`; returns how many there are."""
    count = 0
    for e in range(first, last):
        active[count] = e
        count += ends_ns[e] < until
    return count


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


@compiled
def sort(numbers: Ints) -> None:
    """Sort in place."""
    numbers.sort()
