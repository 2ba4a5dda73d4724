"""How a window of time begins, and how users send in it: compiled code.

See `window`: in a window, engines are played with arrivals that are all known; then the users of
the requests that ended send. Where all do alike each thread handles a part of them, where they do
not the first thread all of them.
"""

from enum import IntEnum

from er.simulation.closed_loop import send_due
from er.simulation.heaps import NEVER
from er.simulation.jit import inner, outer
from er.simulation.tables import Engines, Ints, Prompts, Sent, Times
from er.simulation.users import (
    At,
    Loop,
    Users,
    is_measured,
    next_arrival,
    next_send,
    read_answers,
    way_ns,
)

INDEX_BITS = 24  # of a request among those that end in a window
INDEX_MASK = (1 << INDEX_BITS) - 1


class Window(IntEnum):
    """What the first thread says of the present window."""

    begin_ns = 0  # NEVER after the last
    end_ns = 1
    sends = 2  # requests that were sent before it ends
    alike = 3  # whether `send_alike` is what its users do
    arrived = 4  # the ring of arriving requests up to here: those that arrive in it
    place = 5  # in that ring, of the first request that is sent in it


class Part(IntEnum):
    """Columns of what each thread's part of the users did."""

    measured = 0  # requests that ended
    last_end_ns = 1  # of these


WINDOW_COLUMNS, PART_COLUMNS = len(Window), len(Part)


@outer
def length_ns(loop: Loop) -> int:
    """The shortest time from an engine over a user to an engine: how long a window is."""
    return loop.reply_delay_ns + loop.gateway_ns + loop.request_delay_ns


@inner
def next_window(engines: Engines, users: Users, window: Ints) -> None:
    """Begin the next window where the first thing happens."""
    at, loop = users.at, users.loop
    begin, now = next_arrival(users), next_send(users)
    if now < NEVER:  # what is sent then arrives no sooner than a window ends that begins so early
        begin = min(begin, now - loop.reply_delay_ns)
    for end_ns in engines.ends_ns:
        begin = min(begin, end_ns)
    window[Window.begin_ns] = begin
    if begin == NEVER:
        return
    end = begin + length_ns(loop)
    window[Window.end_ns] = end
    arrived = at[At.arriving_from]
    ring = len(users.arriving) - 1
    while arrived < at[At.arriving_to] and users.arriving[arrived & ring, 0] < end:
        arrived += 1
    window[Window.arrived] = arrived
    # Where none is left the ring begins anew: a million places would push all else from the cache.
    window[Window.place] = 0 if arrived == at[At.arriving_to] else at[At.arriving_to]
    window[Window.alike] = (
        not loop.once
        and len(loop.think_ns) == 0
        and len(loop.follows) == 0
        and loop.gateway_ns == 0  # nobody waits for others in the gateway
        and now == NEVER  # all have begun, and wait for answers
        and at[At.next_warmup] == at[At.first_measured]
        and at[At.opens_ns] != NEVER
        and at[At.unsent] > len(loop.start_ns)  # enough for every user
        and end + loop.reply_delay_ns <= loop.until_ns
    )


@inner
def least(order: Ints, cursors: Ints) -> int:
    """The thread that saw the first of the requests end that are left after the cursors."""
    first = 0
    for thread in range(1, len(order)):
        if order[thread, cursors[thread]] < order[first, cursors[first]]:
            first = thread
    return first


@inner
def send_alike(
    thread: int,
    engines: Engines,
    users: Users,
    ended: Ints,
    order: Ints,
    over: Ints,
    cursors: Ints,
    part: Ints,
    window: Ints,
) -> None:
    """Let a thread's part of the users whose requests ended, in the order in which these did, send
    the next measured prompts at once: what `read_answers` and `send_due` do for all."""
    at, sent, times, arriving = users.at, engines.sent, engines.times, users.arriving
    ring, way = len(arriving) - 1, way_ns(users.loop)
    total = over.sum()
    begin, end = total * thread // len(over), total * (thread + 1) // len(over)
    cursors[:] = 0
    part[:] = 0
    for turn in range(end):
        first = least(order, cursors)
        r = ended[first, order[first, cursors[first]] & INDEX_MASK]
        cursors[first] += 1
        if turn < begin:
            continue
        now = times[r, Times.end_ns]
        if is_measured(users, sent[r, Sent.prompt]):
            part[Part.measured] += 1
            part[Part.last_end_ns] = now
        own, p = window[Window.sends] + turn, at[At.next_measured] + turn
        sent[own, Sent.prompt] = p
        sent[own, Sent.user] = sent[r, Sent.user]
        sent[own, Sent.engine] = engines.prompts[p, Prompts.engine]
        times[own, Times.send_ns] = now
        arriving[(window[Window.place] + turn) & ring, 0] = now + way
        arriving[(window[Window.place] + turn) & ring, 1] = own


@inner
def count_sent(users: Users, over: Ints, parts: Ints, window: Ints) -> None:
    """Count what all threads sent by `send_alike`."""
    at, total = users.at, over.sum()
    at[At.next_measured] += total
    at[At.unsent] -= total
    for part in parts:
        at[At.last_end_ns] = max(at[At.last_end_ns], part[Part.last_end_ns])
        at[At.in_flight] -= part[Part.measured]
    at[At.in_flight] += total
    window[Window.sends] += total
    all_arrived = window[Window.arrived] == at[At.arriving_to]
    at[At.arriving_from] = window[Window.place] if all_arrived else window[Window.arrived]
    at[At.arriving_to] = window[Window.place] + total


@inner
def send_in_turn(
    engines: Engines,
    users: Users,
    ended: Ints,
    order: Ints,
    over: Ints,
    cursors: Ints,
    window: Ints,
) -> None:
    """Let the users of requests that ended go on in the order in which these did, whichever thread
    saw them end, and send, as far as all who send before them are known."""
    at = users.at
    at[At.arriving_from] = window[Window.arrived]
    cursors[:] = 0
    for _ in range(over.sum()):
        first = least(order, cursors)
        i = order[first, cursors[first]] & INDEX_MASK
        cursors[first] += 1
        read_answers(users, engines.sent, engines.times, ended[first, i : i + 1])
    now = next_send(users)
    while now < window[Window.end_ns] + users.loop.reply_delay_ns:
        window[Window.sends] = send_due(engines, users, now, window[Window.sends])
        now = next_send(users)
