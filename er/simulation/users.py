"""Users in virtual time: who sends next, and what."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from er.simulation.heaps import NEVER, least_leaf, set_key, tournament
from er.simulation.jit import inner
from er.simulation.tables import Ints, Sent, Table, Times

Flags = NDArray[np.bool_]
NO_FLAGS = np.zeros(0, np.bool_)


class Loop(NamedTuple):
    """How users behave and what lies between them and the engines."""

    start_ns: Ints  # of each user, rising
    warmup_per_user: int
    once: bool  # open loop: every user sends a single request, or holds a single conversation
    think_ns: Ints  # after each request, in order of sending; empty for none
    gateway_ns: int  # service time of the gateway, which handles one request at a time
    request_delay_ns: int  # from gateway to engine
    reply_delay_ns: int  # from engine to user, of every token
    fail_ns: Ints  # when each engine fails, NEVER for one that does not; empty when none does
    until_ns: int = NEVER  # from then on nobody sends
    # Whether each prompt follows the one before it in a conversation, which one user holds; empty
    # when none does.
    follows: Flags = NO_FLAGS
    # How many prompts, the last ones, are sent unmeasured so that every user stays in flight:
    # before the last user has begun, and until the last measured request has ended.
    unmeasured: int = 0


class Counted(NamedTuple):
    """What a simulation counts besides its requests."""

    tokens: int  # of all requests, in the window between `At.opens_ns` and `At.closes_ns`
    exhausted: bool  # whether a user found no prompt although it had to go on


class At(IntEnum):
    """Positions of `Users.at`."""

    started = 0  # users
    next_warmup = 1  # prompt
    next_measured = 2  # prompt
    ready_from = 3  # in the ring of users about to send
    ready_to = 4
    arriving_from = 5  # in the ring of requests
    arriving_to = 6
    gateway_free_ns = 7
    first_measured = 8  # prompt
    first_unmeasured = 9  # of those behind the measured ones; these two never change
    next_unmeasured = 10
    unsent = 11  # measured prompts
    in_flight = 12  # measured requests
    last_end_ns = 13  # of the measured requests so far
    # Between these two, engines count their tokens: they are the first measured request's sending
    # and the last one's end, later by the shortest way to an engine, so that no engine is ahead.
    opens_ns = 14
    closes_ns = 15
    exhausted = 16  # whether a user found no prompt although it had to go on


COLUMNS = len(At)


class Users(NamedTuple):
    """The state of all users. A ring's length is a power of two: each user is at most once in it,
    and the positions of `at` only grow."""

    loop: Loop
    at: Ints  # columns At
    warmup_left: Ints  # requests of each user
    last: Ints  # prompt that each user sent; -1 before the first
    ready: Ints  # ring of (time, user) about to send, in order of time
    thinking: Ints  # tournament tree: when each user sends; one leaf when nobody thinks
    arriving: Ints  # ring of (time, request) between gateway and engine, in order of time


def users_of(loop: Loop, warmup: int, prompts: int) -> Users:
    """Users who have not begun, with so many prompts of which the first are `warmup`."""
    count = len(loop.start_ns)
    room = 1
    while room < count:
        room *= 2
    at = np.zeros(COLUMNS, np.int64)
    at[At.next_measured] = at[At.first_measured] = warmup
    at[At.next_unmeasured] = at[At.first_unmeasured] = prompts - loop.unmeasured
    at[At.unsent] = prompts - loop.unmeasured - warmup
    at[At.opens_ns] = at[At.closes_ns] = NEVER
    return Users(
        loop,
        at,
        np.full(count, loop.warmup_per_user, np.int64),
        np.full(count, -1, np.int64),
        np.zeros((room, 2), np.int64),
        tournament(count if len(loop.think_ns) else 1),
        np.zeros((room, 2), np.int64),
    )


@inner
def next_send(users: Users) -> int:
    """When the next user sends; NEVER when none will."""
    at, start_ns = users.at, users.loop.start_ns
    now = users.thinking[1]
    if at[At.started] < len(start_ns):
        now = min(now, start_ns[at[At.started]])
    if at[At.ready_from] < at[At.ready_to]:
        now = min(now, users.ready[at[At.ready_from] & (len(users.ready) - 1), 0])
    return int(now)


@inner
def next_arrival(users: Users) -> int:
    """When the next request reaches its engine; NEVER when none is on its way."""
    at = users.at
    if at[At.arriving_from] == at[At.arriving_to]:
        return NEVER
    return int(users.arriving[at[At.arriving_from] & (len(users.arriving) - 1), 0])


@inner
def read_answers(users: Users, sent: Table, times: Ints, ended: Ints) -> None:
    """The users of requests that ended read their answers, think, and are about to send again."""
    at, thinking, ready, think_ns = users.at, users.thinking, users.ready, users.loop.think_ns
    if users.loop.once and not len(users.loop.follows):
        return
    for r in ended:
        if is_measured(users, sent[r, Sent.prompt]):
            at[At.in_flight] -= 1
            at[At.last_end_ns] = max(at[At.last_end_ns], times[r, Times.end_ns])
        if len(think_ns):
            set_key(thinking, sent[r, Sent.user], times[r, Times.end_ns] + think_ns[r])
        else:
            to = at[At.ready_to] & (len(ready) - 1)
            ready[to, 0] = times[r, Times.end_ns]
            ready[to, 1] = sent[r, Sent.user]
            at[At.ready_to] += 1
    if not goes_on(users, at[At.last_end_ns]):
        at[At.closes_ns] = at[At.last_end_ns] + way_ns(users.loop)


@inner
def is_measured(users: Users, p: int) -> bool:
    """Whether prompt `p` is measured."""
    return bool(users.at[At.first_measured] <= p < users.at[At.first_unmeasured])


@inner
def goes_on(users: Users, now: int) -> bool:
    """Whether a measured request is in flight at `now`, or still to be sent."""
    at = users.at
    to_come = at[At.unsent] > 0 and now < users.loop.until_ns
    return bool(to_come or at[At.in_flight] > 0 or now < at[At.last_end_ns])


@inner
def way_ns(loop: Loop) -> int:
    """The shortest time from a user to an engine."""
    return loop.gateway_ns + loop.request_delay_ns


@inner
def sender(users: Users, now: int) -> int:
    """A user who sends at `now`; -1 when all of them have."""
    at = users.at
    ready = at[At.ready_from] & (len(users.ready) - 1)
    if at[At.ready_from] < at[At.ready_to] and users.ready[ready, 0] == now:
        at[At.ready_from] += 1
        return int(users.ready[ready, 1])
    if users.thinking[1] == now:
        user = least_leaf(users.thinking)
        set_key(users.thinking, user, NEVER)
        return user
    started = at[At.started]
    if started < len(users.loop.start_ns) and users.loop.start_ns[started] == now:
        at[At.started] += 1
        return int(started)
    return -1


@inner
def next_prompt(users: Users, user: int, warmup: int, prompts: int, now: int) -> int:
    """What a user sends: the next turn of its conversation, a warm-up prompt while it has to, else
    what begins next; at the end, and before all users have begun, an unmeasured one; -1 for
    nothing."""
    at, loop = users.at, users.loop
    # A million users' last prompts are far apart in memory: keep them only where it matters.
    matters = len(loop.follows) > 0 or loop.once
    last = users.last[user] if matters else -1
    follows_on = last >= 0 and last + 1 < len(loop.follows) and loop.follows[last + 1]
    p = -1
    if now < loop.until_ns:
        if follows_on and last < at[At.first_unmeasured]:
            p = last + 1
        elif last >= 0 and loop.once:
            return -1
        elif at[At.next_warmup] < warmup and users.warmup_left[user] > 0:
            users.warmup_left[user] -= 1
            p = at[At.next_warmup]
            at[At.next_warmup] += 1
        elif not loop.unmeasured or now >= loop.start_ns[-1]:
            p = next_beginning(users, At.next_measured, at[At.first_unmeasured])
            if p < 0 and loop.until_ns != NEVER and not loop.once:
                at[At.exhausted] = 1
    if p < 0 and loop.unmeasured and goes_on(users, now):
        if follows_on and last >= at[At.first_unmeasured]:
            p = last + 1
        else:
            p = next_beginning(users, At.next_unmeasured, prompts)
            if p < 0:
                at[At.exhausted] = 1
    if is_measured(users, p):
        at[At.unsent] -= 1
        at[At.in_flight] += 1
        if at[At.opens_ns] == NEVER and not loop.once:
            at[At.opens_ns] = now + way_ns(loop)
    if matters and p >= 0:
        users.last[user] = p
    return int(p)


@inner
def next_beginning(users: Users, column: int, end: int) -> int:
    """The next prompt before `end` that begins a conversation, or is one; -1 when there is none."""
    at, follows = users.at, users.loop.follows
    while at[column] < len(follows) and follows[at[column]]:
        at[column] += 1
    if at[column] >= end:
        return -1
    at[column] += 1
    return int(at[column] - 1)


@inner
def send(users: Users, r: int, now: int) -> None:
    """Hand request `r` to the gateway, which handles one at a time."""
    at, loop = users.at, users.loop
    free_ns = max(at[At.gateway_free_ns], now) + loop.gateway_ns
    at[At.gateway_free_ns] = free_ns
    to = at[At.arriving_to] & (len(users.arriving) - 1)
    users.arriving[to, 0] = free_ns + loop.request_delay_ns
    users.arriving[to, 1] = r
    at[At.arriving_to] += 1


@inner
def receive(users: Users) -> int:
    """The request that reaches its engine next."""
    at = users.at
    r = users.arriving[at[At.arriving_from] & (len(users.arriving) - 1), 1]
    at[At.arriving_from] += 1
    return int(r)
