"""What one of several threads does in a window of time, and how a window begins: compiled code.

See `windows`: every thread plays engines of its own until the window ends, with arrivals that are
all known; then the first thread lets users send. A window knows in advance which engines it will
need, so that memory is prefetched.
"""

from er.simulation.closed_loop import send_due
from er.simulation.engines import arrive, count_tokens, finish, start, write_segment
from er.simulation.heaps import NEVER
from er.simulation.instructions import prefetch, wait_for_all
from er.simulation.jit import compiled, inner, outer
from er.simulation.tables import REQUEST_MASK, Engine, Engines, Ints, Sent, Tables, Times
from er.simulation.users import At, Loop, Users, next_arrival, next_send, read_answers

AHEAD = 8  # how many engines before its turn an engine is prefetched
INDEX_BITS = 24  # of a request among those that end in a window
INDEX_MASK = (1 << INDEX_BITS) - 1


@outer
def length_ns(loop: Loop) -> int:
    """The shortest time from an engine over a user to an engine: how long a window is."""
    return loop.reply_delay_ns + loop.gateway_ns + loop.request_delay_ns


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
    """Play the engines from `first` to before `last` up to `until`: each up to every request that
    arrives at it, in the order of arrival, then to the end. Returns how many segments are kept and
    how many requests have ended.

    An engine between two segments has no steps, and the end of the last one until it has begun the
    next. All of this is built into one loop once, which halves the time of compilation.
    """
    state, sent, ends_ns, arriving = engines.state, engines.sent, engines.ends_ns, users.arriving
    ring, over, turn, due = len(arriving) - 1, 0, 0, -1
    at, to = users.at[At.arriving_from], users.at[At.arriving_to]
    while True:
        if at < to and arriving[at & ring, 0] < until:
            now, r = arriving[at & ring, 0], arriving[at & ring, 1]
            at += 1
            if at + 3 * AHEAD < to:
                prefetch_engine(engines, sent[arriving[(at + 3 * AHEAD) & ring, 1], Sent.engine])
                prefetch_requests(engines, sent[arriving[(at + 2 * AHEAD) & ring, 1], Sent.engine])
                prefetch_prompts(engines, sent[arriving[(at + AHEAD) & ring, 1], Sent.engine])
            e = sent[r, Sent.engine]
            if not first <= e < last:
                continue
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
                prefetch_prompts(engines, active[turn + AHEAD])
        while ends_ns[e] < now or (r >= 0 and ends_ns[e] == now and state[e, Engine.steps]):
            if state[e, Engine.steps]:
                kept, over = end_segment(engines, users, e, tables, segments, kept, ended, over)
            else:
                start(engines, e, ends_ns[e], tables)
        if r >= 0 and arrive(engines, e, r, now, tables):
            ends_ns[e] = now
    return kept, over


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
