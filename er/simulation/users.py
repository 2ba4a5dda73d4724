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


def users_of(loop: Loop, warmup: int) -> Users:
    """Users who have not begun."""
    count = len(loop.start_ns)
    room = 1
    while room < count:
        room *= 2
    at = np.zeros(COLUMNS, np.int64)
    at[At.next_measured] = warmup
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
def go_on(users: Users, sent: Table, times: Ints, ended: Ints) -> None:
    """The users of requests that ended read their answers, think, and are about to send again."""
    at, thinking, ready, think_ns = users.at, users.thinking, users.ready, users.loop.think_ns
    if users.loop.once and not len(users.loop.follows):
        return
    for r in ended:
        if len(think_ns):
            set_key(thinking, sent[r, Sent.user], times[r, Times.end_ns] + think_ns[r])
        else:
            to = at[At.ready_to] & (len(ready) - 1)
            ready[to, 0] = times[r, Times.end_ns]
            ready[to, 1] = sent[r, Sent.user]
            at[At.ready_to] += 1


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
def next_prompt(users: Users, user: int, warmup: int, asked: int) -> int:
    """What a user sends: the next turn of its conversation, a warm-up prompt while it has to, else
    what begins next; -1 at their end."""
    at, follows = users.at, users.loop.follows
    # A million users' last prompts are far apart in memory: keep them only where it matters.
    matters = len(follows) > 0 or users.loop.once
    last = users.last[user] if matters else -1
    if last >= 0 and last + 1 < len(follows) and follows[last + 1]:
        p = last + 1
    elif last >= 0 and users.loop.once:
        return -1
    elif at[At.next_warmup] < warmup and users.warmup_left[user] > 0:
        users.warmup_left[user] -= 1
        p = at[At.next_warmup]
        at[At.next_warmup] += 1
    else:
        while at[At.next_measured] < len(follows) and follows[at[At.next_measured]]:
            at[At.next_measured] += 1
        if at[At.next_measured] == asked:
            return -1
        p = at[At.next_measured]
        at[At.next_measured] += 1
    if matters:
        users.last[user] = p
    return int(p)


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
