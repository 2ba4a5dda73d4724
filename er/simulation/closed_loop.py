"""Many users on many engines in virtual time: event skipping, exact to the nanosecond.

Engines go from one change of their batch to the next (`engines.py`); an arrival that can be
admitted cuts such a segment at the next iteration boundary. The result is that of `batching.Batch`,
iteration by iteration.

At one instant, first all iterations that end, then engines that fail, then all sends, then all
arrivals at engines are handled, engines in order; then engines at a boundary start their next
iteration. A failed engine's requests and those that come later end at once, unanswered.
"""

from enum import IntEnum

import numpy as np

from er.simulation.engines import arrive, count_tokens, finish, start, write_segment
from er.simulation.failures import fail, refuse, stop
from er.simulation.heaps import NEVER, least_leaf, set_key, tournament
from er.simulation.jit import inner, outer
from er.simulation.limits import Limits
from er.simulation.tables import (
    LEAST_LOADED,
    PAUSE_COLUMNS,
    SEGMENT_COLUMNS,
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
    next_prompt,
    next_send,
    read_answers,
    receive,
    send,
    sender,
    users_of,
)


class SoFar(IntEnum):
    """Columns of how far a simulation has come."""

    sends = 0  # requests
    failed = 1  # engines
    segments = 2


SO_FAR_COLUMNS = len(SoFar)


def simulate(
    tables: Tables,
    limits: Limits,
    prompts: Table,
    warmup: int,
    loop: Loop,
    count: int,
    gaps: Ints,
    record: bool,
) -> tuple[Table, Ints, Ints, Ints, Counted]:
    """Play the users on `count` engines until every request has ended.

    `prompts` has the columns `Prompts`; the first `warmup` of them are warm-up. Running sums of
    `gaps[B]` give how many gaps between two tokens of measured requests took decode_ns[B, c]; those
    of steps with prompts are in the segments, of which without `record` only the first two columns
    are kept, and of steps with prompts only. Returns the requests (columns `Sent`), their times
    (columns `Times`), the segments (columns `Segment`), the pauses (columns `Pause`) and what was
    counted besides.
    """
    engines = engines_of(count, limits, prompts, warmup, loop.unmeasured, gaps, loop.reply_delay_ns)
    users = users_of(loop, warmup, len(prompts))
    columns = SEGMENT_COLUMNS if record else UNRECORDED_COLUMNS
    room = 3 * len(prompts) if record else len(prompts)
    segments = np.empty((room + segments_at_once(engines), columns), np.int64)
    engines = engines._replace(
        pauses=np.empty((pauses_at_once(engines, users), PAUSE_COLUMNS), np.int64)
    )
    failing = np.argsort(loop.fail_ns, kind="mergesort")  # engines in order, at one instant
    at_boundary = np.zeros(count, np.int64)
    next_end = tournament(count)
    ended = np.zeros(len(loop.start_ns) + 1, np.int64)
    so_far = np.zeros(SO_FAR_COLUMNS, np.int64)
    while not play(engines, users, tables, segments, failing, at_boundary, ended, next_end, so_far):
        if so_far[SoFar.segments] + segments_at_once(engines) > len(segments):
            segments = twice(segments)
        if engines.paused[0] + pauses_at_once(engines, users) > len(engines.pauses):
            engines = engines._replace(pauses=twice(engines.pauses))
    sends, kept, paused = so_far[SoFar.sends], so_far[SoFar.segments], engines.paused[0]
    return (
        engines.sent[:sends],
        engines.times[:sends],
        segments[:kept],
        engines.pauses[:paused],
        counted(engines, users),
    )


def counted(engines: Engines, users: Users) -> Counted:
    """What was counted until the end."""
    tokens = int(engines.state[:, Engine.tokens].sum())
    return Counted(tokens, bool(users.at[At.exhausted]))


@outer
def segments_at_once(engines: Engines) -> int:
    """At most so many segments end at one instant."""
    return 2 * len(engines.state)


@outer
def pauses_at_once(engines: Engines, users: Users) -> int:
    """At most so many requests are paused at one instant."""
    if not engines.limits.max_utilization:
        return 0
    return min(len(engines.state) * engines.limits.max_batch_size, len(users.loop.start_ns))


def twice(rows: Ints) -> Ints:
    """A table with room for twice as many rows."""
    return np.concatenate([rows, np.empty_like(rows)])


@outer
def play(
    engines: Engines,
    users: Users,
    tables: Tables,
    segments: Ints,
    failing: Ints,
    at_boundary: Ints,
    ended: Ints,
    next_end: Ints,
    so_far: Ints,
) -> bool:
    """Play from `so_far` (columns `SoFar`) until every request has ended, or `segments` or
    `engines.pauses` might not have room for what happens at one instant; returns whether all have.
    `at_boundary` and `ended` do: a place for each engine, and for a request of each user.
    `next_end` is a tournament tree of `engines.ends_ns`."""
    loop = users.loop
    state, sent, times = engines.state, engines.sent, engines.times
    sends, failed = so_far[SoFar.sends], so_far[SoFar.failed]
    kept, over = so_far[SoFar.segments], False
    last_kept = len(segments) - segments_at_once(engines)
    last_paused = len(engines.pauses) - pauses_at_once(engines, users)
    while kept <= last_kept and engines.paused[0] <= last_paused:
        now = min(next_end[1], next_send(users), next_arrival(users))
        if now == NEVER:
            over = True
            break
        if failed < len(failing):
            now = min(now, loop.fail_ns[failing[failed]])
        boundaries, gone = 0, 0

        while next_end[1] == now:
            e = least_leaf(next_end)
            count_tokens(engines, e, now, tables.until_ns, users.at)
            kept = write_segment(engines, e, now, segments, kept)
            gone = finish(engines, e, now, ended, gone)
            set_key(next_end, e, NEVER)
            at_boundary[boundaries] = e
            boundaries += 1
        while failed < len(failing) and loop.fail_ns[failing[failed]] == now:
            e = failing[failed]
            failed += 1
            kept, prefilling = stop(engines, e, now, tables.until_ns, users.at, segments, kept)
            gone = fail(engines, e, now, prefilling, ended, gone)
            set_key(next_end, e, NEVER)
        read_answers(users, sent, times, ended[:gone])

        sends = send_due(engines, users, now, sends)
        while next_arrival(users) == now:
            r = receive(users)
            if sent[r, Sent.engine] == LEAST_LOADED:
                sent[r, Sent.engine] = least_leaf(engines.loads)
            e = sent[r, Sent.engine]
            if state[e, Engine.failed]:
                refuse(engines, r, now)
                ended[0] = r
                read_answers(users, sent, times, ended[:1])
            elif arrive(engines, e, r, now, tables):
                at_boundary[boundaries] = e
                boundaries += 1
            else:
                set_key(next_end, e, engines.ends_ns[e])

        for i in range(boundaries):
            if not state[at_boundary[i], Engine.failed]:
                start(engines, at_boundary[i], now, tables)
                set_key(next_end, at_boundary[i], engines.ends_ns[at_boundary[i]])
    so_far[SoFar.sends], so_far[SoFar.failed], so_far[SoFar.segments] = sends, failed, kept
    return over


@inner
def send_due(engines: Engines, users: Users, now: int, sends: int) -> int:
    """All users who send at `now` do, after the `sends` that were; returns how many are then."""
    sent, prompts = engines.sent, engines.prompts
    user = sender(users, now)
    while user >= 0:
        p = next_prompt(users, user, engines.first_measured, len(prompts), now)
        if p >= 0:
            sent[sends, Sent.prompt] = p
            sent[sends, Sent.user] = user
            sent[sends, Sent.engine] = prompts[p, Prompts.engine]
            engines.times[sends, Times.send_ns] = now
            send(users, sends, now)
            sends += 1
        user = sender(users, now)
    return sends
