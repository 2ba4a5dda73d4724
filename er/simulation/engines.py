"""What one engine does in virtual time: a segment of iterations at once.

Between two changes of a batch's composition, K decode steps of B requests with a mean context of c
tokens take `until[B, c + K] - until[B, c]`, one difference of running sums in place of K
iterations, since the mean context grows by one a step. A step with prompts is a segment of its own.
"""

from er.simulation.admission import (
    admit,
    continue_partial,
    first_chunk,
    is_counted,
    make_room,
    note_first_tokens,
)
from er.simulation.blocks import (
    blocks_at_start,
    change_needs,
    due,
    keep,
    release,
    steps_with_room,
    take,
)
from er.simulation.heaps import NEVER, pop, set_key
from er.simulation.jit import inner
from er.simulation.tables import (
    REQUEST_BITS,
    REQUEST_MASK,
    UNRECORDED_COLUMNS,
    Engine,
    Engines,
    Ints,
    Prompts,
    Segment,
    Sent,
    Tables,
    Times,
)
from er.simulation.users import At


@inner
def start(engines: Engines, e: int, now: int, tables: Tables) -> None:
    """Make room, admit who fits and begin engine `e`'s next segment at `now`."""
    state = engines.state
    paused = engines.limits.max_utilization and make_room(engines, e, now)
    decoding = state[e, Engine.running]
    mean_context = state[e, Engine.context] // decoding if decoding else 0
    state[e, Engine.clock_ns] = now
    state[e, Engine.mean_context] = mean_context
    state[e, Engine.decoding] = decoding
    state[e, Engine.weight] = state[e, Engine.counted]
    tokens, attention_ns = decoding, 0
    state[e, Engine.joined] = 0
    state[e, Engine.completed] = -1
    if not paused or decoding == 0:
        if state[e, Engine.partial] >= 0:
            tokens, attention_ns = continue_partial(engines, e, tokens, tables.prefill_ns)
        tokens, attention_ns = admit(engines, e, tokens, attention_ns, tables.prefill_ns)
    state[e, Engine.mixed] = tokens > decoding
    if tokens > decoding:
        shared_ns = tables.linear_ns[tokens] - tables.linear_ns[decoding]
        end = now + tables.decode_ns[decoding, mean_context] + shared_ns
        end += tables.launch_ns + attention_ns
        state[e, Engine.steps] = 1
        note_first_tokens(engines, e, end)
    elif decoding:
        steps = (engines.finish[e, 0] >> REQUEST_BITS) - state[e, Engine.iteration]
        if engines.limits.max_utilization:
            steps = 1 if paused else steps_with_room(engines, e, steps)
        state[e, Engine.steps] = steps
        until_ns = tables.until_ns
        end = now + until_ns[decoding, mean_context + steps] - until_ns[decoding, mean_context]
    else:
        state[e, Engine.steps] = 0
        end = NEVER
    engines.ends_ns[e] = end


@inner
def arrive(engines: Engines, e: int, r: int, now: int, tables: Tables) -> bool:
    """Queue request `r`, and end a segment of decode steps early when it can join; returns whether
    engine `e` is idle and has to start."""
    state, sent = engines.state, engines.sent
    sent[r, Sent.following] = -1
    change_load(engines, e, 1)
    if state[e, Engine.head] >= 0:
        sent[state[e, Engine.tail], Sent.following] = r
        state[e, Engine.tail] = r
        return False
    state[e, Engine.head] = r
    state[e, Engine.tail] = r
    if state[e, Engine.steps] == 0:
        return True
    under_way = engines.ends_ns[e] != NEVER
    decodes = under_way and not state[e, Engine.mixed]
    if decodes and first_chunk(engines, e, state[e, Engine.running])[0]:
        engines.ends_ns[e] = cut(state, e, now, tables.until_ns)
    return False


@inner
def cut(state: Ints, e: int, now: int, until_ns: Ints) -> int:
    """Shorten a segment of decode steps to its first boundary at or after `now`; returns it."""
    decoding = state[e, Engine.running]
    context = state[e, Engine.mean_context]
    begin = state[e, Engine.clock_ns] - until_ns[decoding, context]
    low, high = 1, state[e, Engine.steps]
    while low < high:
        middle = (low + high) >> 1
        if begin + until_ns[decoding, context + middle] >= now:
            high = middle
        else:
            low = middle + 1
    state[e, Engine.steps] = low
    return int(begin + until_ns[decoding, context + low])


@inner
def finish(engines: Engines, e: int, now: int, ended: Ints, count: int) -> int:
    """End engine `e`'s segment at `now`: every running request has its tokens. Writes those that
    have all of theirs into `ended`, after the `count` that are there; returns how many are then."""
    state, sent, prompts = engines.state, engines.sent, engines.prompts
    running, steps = state[e, Engine.running], state[e, Engine.steps]
    if state[e, Engine.mixed]:
        if engines.limits.kv_cache_reuse:
            keep_prompts(engines, e)
    else:
        count_gaps(engines, e, steps)
        if engines.limits.max_utilization:  # blocks of the first step were taken at its start
            take(engines, e, due(engines, e, state[e, Engine.iteration] + 1, steps - 1))
    state[e, Engine.iteration] += steps
    state[e, Engine.context] += steps * running
    first = count
    while running and engines.finish[e, 0] >> REQUEST_BITS == state[e, Engine.iteration]:
        r = pop(engines.finish, e, running) & REQUEST_MASK
        p = sent[r, Sent.prompt]
        running -= 1
        state[e, Engine.counted] -= is_counted(engines, p)
        tokens = prompts[p, Prompts.input] + prompts[p, Prompts.output]
        release(engines, e, r, blocks_at_start(engines, p, tokens - 1))
        if engines.limits.max_utilization:
            change_needs(engines, e, r, -1)
        state[e, Engine.context] -= tokens
        engines.times[r, Times.end_ns] = now + engines.reply_delay_ns
        ended[count] = r
        count += 1
    state[e, Engine.running] = running
    change_load(engines, e, first - count)
    engines.ends_ns[e] = NEVER
    return count


@inner
def keep_prompts(engines: Engines, e: int) -> None:
    """Let others find the blocks of the prompts whose prefill the segment completes."""
    state = engines.state
    if state[e, Engine.completed] >= 0:
        keep(engines, e, state[e, Engine.completed])
    r = state[e, Engine.first_joined]
    for _ in range(state[e, Engine.joined]):
        keep(engines, e, r)
        r = engines.sent[r, Sent.following]


@inner
def count_gaps(engines: Engines, e: int, steps: int) -> None:
    """Count the gaps of so many decode steps from the segment's start on."""
    state = engines.state
    decoding = state[e, Engine.decoding]
    context = state[e, Engine.mean_context]
    engines.gaps[decoding, context] += state[e, Engine.weight]
    engines.gaps[decoding, context + steps] -= state[e, Engine.weight]


@inner
def count_tokens(engines: Engines, e: int, now: int, until_ns: Ints, at: Ints) -> None:
    """Count the tokens of the segment that ends at `now`, those within the window of `users.At`."""
    opens, closes = at[At.opens_ns], at[At.closes_ns]
    if now <= opens:
        return
    state = engines.state
    mixed, steps = state[e, Engine.mixed], state[e, Engine.steps]
    if now > closes:
        steps = 0 if mixed else steps_before(state, e, closes, until_ns)
    if state[e, Engine.clock_ns] < opens and not mixed:
        steps -= steps_before(state, e, opens, until_ns)
    state[e, Engine.tokens] += steps * state[e, Engine.running]


@inner
def write_segment(engines: Engines, e: int, now: int, segments: Ints, kept: int) -> int:
    """Write the segment that ends at `now`: all of it when they are recorded, else what gaps are
    counted from, of steps with prompts. Returns how many are kept."""
    state = engines.state
    record = segments.shape[1] > UNRECORDED_COLUMNS
    if not (state[e, Engine.mixed] or record):
        return kept
    segments[kept, Segment.duration_ns] = now - state[e, Engine.clock_ns]
    segments[kept, Segment.counted] = state[e, Engine.weight]
    if record:
        context = state[e, Engine.mean_context]
        segments[kept, Segment.engine] = e
        segments[kept, Segment.start_ns] = state[e, Engine.clock_ns]
        segments[kept, Segment.decoding] = state[e, Engine.decoding]
        segments[kept, Segment.context] = -1 if state[e, Engine.mixed] else context
        segments[kept, Segment.steps] = state[e, Engine.steps]
    return kept + 1


@inner
def steps_before(state: Ints, e: int, now: int, until_ns: Ints) -> int:
    """How many steps of a segment of decode steps have ended by `now`."""
    decoding = state[e, Engine.running]
    context = state[e, Engine.mean_context]
    begin = state[e, Engine.clock_ns] - until_ns[decoding, context]
    low, high = 0, state[e, Engine.steps]
    while low < high:
        middle = (low + high + 1) >> 1
        if begin + until_ns[decoding, context + middle] <= now:
            low = middle
        else:
            high = middle - 1
    return int(low)


@inner
def change_load(engines: Engines, e: int, change: int) -> None:
    """Keep the number of requests of engine `e`, when anybody asks for it."""
    if len(engines.loads) > 2:
        engines.state[e, Engine.load] += change
        set_key(engines.loads, e, engines.state[e, Engine.load])
