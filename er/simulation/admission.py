"""Who joins and who leaves one engine's batch between two iterations: prompts, chunks, pauses.

The rules are those of `batching.Batch`.
"""

from er.simulation.blocks import (
    begin,
    blocks_at_start,
    blocks_of,
    chain_of,
    change_needs,
    release,
    reusable,
    take,
)
from er.simulation.heaps import push, remove
from er.simulation.jit import inner
from er.simulation.tables import (
    REQUEST_BITS,
    REQUEST_MASK,
    Chain,
    Engine,
    Engines,
    Ints,
    Pause,
    Prompts,
    Sent,
    Spell,
    Times,
)


@inner
def make_room(engines: Engines, e: int, now: int) -> bool:
    """Take the blocks that the next tokens need, pausing requests that started last while they are
    not free; returns whether any was paused."""
    state, needs, before = engines.state, engines.needs, engines.paused[0]
    turn = state[e, Engine.iteration] % engines.limits.tokens_per_block
    while needs[e, turn] > state[e, Engine.free_blocks]:
        r = state[e, Engine.partial]
        tokens = 0
        if r >= 0:
            state[e, Engine.partial] = -1
            blocks = blocks_of(engines, context_of(engines, r))
        else:
            r = last_started(engines, e)
            tokens = state[e, Engine.iteration] - engines.sent[r, Sent.iteration]
            change_needs(engines, e, r, -1)
            engines.spells[r, Spell.pause] = engines.paused[0]
            engines.spells[r, Spell.generated] += tokens
            context = context_of(engines, r)
            blocks = blocks_of(engines, context - 1)  # the newest token is not in the cache yet
            state[e, Engine.context] -= context
            state[e, Engine.counted] -= is_counted(engines, engines.sent[r, Sent.prompt])
        write_pause(engines, r, state[e, Engine.iteration], tokens, now)
        release(engines, e, r, blocks)
        engines.sent[r, Sent.following] = state[e, Engine.head]
        if state[e, Engine.head] < 0:
            state[e, Engine.tail] = r
        state[e, Engine.head] = r
    take(engines, e, needs[e, turn])
    return bool(engines.paused[0] > before)


@inner
def write_pause(engines: Engines, r: int, iteration: int, tokens: int, now: int) -> None:
    """Write that request `r`, with so many tokens since its last pause, leaves before an iteration
    that would begin at `now`."""
    pauses, row = engines.pauses, engines.paused[0]
    pauses[row, Pause.request] = r
    pauses[row, Pause.iteration] = iteration - tokens
    pauses[row, Pause.tokens] = tokens
    pauses[row, Pause.paused_ns] = now
    pauses[row, Pause.resumed_ns] = 0
    engines.paused[0] += 1


@inner
def is_counted(engines: Engines, p: int) -> bool:
    """Whether prompt `p` is measured."""
    return bool(engines.first_measured <= p < engines.first_unmeasured)


@inner
def last_started(engines: Engines, e: int) -> int:
    """Take the request that started last, which is also the last sent, out of those running."""
    finish, state = engines.finish, engines.state
    r, at = -1, 0
    for i in range(state[e, Engine.running]):
        if finish[e, i] & REQUEST_MASK > r:
            r, at = finish[e, i] & REQUEST_MASK, i
    remove(finish, e, state[e, Engine.running], at)
    state[e, Engine.running] -= 1
    return r


@inner
def context_of(engines: Engines, r: int) -> int:
    """The tokens that request `r` has to prefill when it joins."""
    context = engines.prompts[engines.sent[r, Sent.prompt], Prompts.input]
    if engines.limits.max_utilization:
        context += engines.spells[r, Spell.generated]
    return int(context)


@inner
def continue_partial(engines: Engines, e: int, tokens: int, prefill_ns: Ints) -> tuple[int, int]:
    """Prefill another chunk; returns the tokens of the iteration with it, and the time of attention
    within it."""
    state = engines.state
    r, before = state[e, Engine.partial], state[e, Engine.prefilled]
    context = context_of(engines, r)
    size = chunk(engines, context - before, tokens)
    state[e, Engine.prefilled] += size
    if before + size == context:
        state[e, Engine.partial] = -1
        state[e, Engine.completed] = r
        join(engines, e, r, context)
    return tokens + size, max(prefill_ns[before + size] - prefill_ns[before], 0)


@inner
def admit(
    engines: Engines, e: int, tokens: int, attention_ns: int, prefill_ns: Ints
) -> tuple[int, int]:
    """Move waiting requests into the batch, in order, until one does not fit; returns the tokens
    of the iteration and the time of attention within the prompts, with those given."""
    state, sent = engines.state, engines.sent
    state[e, Engine.first_joined] = state[e, Engine.head]
    while state[e, Engine.head] >= 0:
        size, reused = first_chunk(engines, e, tokens)
        if size == 0:
            break
        r = state[e, Engine.head]
        p = sent[r, Sent.prompt]
        context = context_of(engines, r)
        state[e, Engine.head] = sent[r, Sent.following]
        before = reused * engines.limits.tokens_per_block
        begin(engines, e, r, blocks_at_start(engines, p, context), chain_of(engines, e, p), reused)
        tokens += size
        attention_ns += max(prefill_ns[before + size] - prefill_ns[before], 0)
        if before + size == context:
            state[e, Engine.joined] += 1
            join(engines, e, r, context)
        else:
            state[e, Engine.partial] = r
            state[e, Engine.prefilled] = before + size
    return tokens, attention_ns


@inner
def first_chunk(engines: Engines, e: int, tokens: int) -> tuple[int, int]:
    """How many tokens of the first waiting request an iteration prefills that already has `tokens`
    to process, 0 when it cannot join; and how many leading blocks it reuses."""
    state, limits = engines.state, engines.limits
    if state[e, Engine.running] >= limits.max_batch_size or state[e, Engine.partial] >= 0:
        return 0, 0
    r = state[e, Engine.head]
    p = engines.sent[r, Sent.prompt]
    context = context_of(engines, r)
    c = chain_of(engines, e, p)
    reused = reusable(engines, c, p, context)
    needs = blocks_at_start(engines, p, context)
    if c >= 0 and engines.chains[c, Chain.requests]:
        needs -= reused  # else they are free blocks
    if needs > state[e, Engine.free_blocks]:
        return 0, 0
    return chunk(engines, context - reused * limits.tokens_per_block, tokens), reused


@inner
def chunk(engines: Engines, left: int, tokens: int) -> int:
    """How many of `left` tokens are prefilled beside `tokens` others."""
    limits = engines.limits
    room = limits.max_num_tokens - tokens
    if left <= room:
        return left
    if not limits.chunked_context:
        return 0
    return room // limits.tokens_per_block * limits.tokens_per_block


@inner
def join(engines: Engines, e: int, r: int, context: int) -> None:
    """Count request `r`, whose prefill this iteration completes, among those running."""
    state, sent, limits = engines.state, engines.sent, engines.limits
    p = sent[r, Sent.prompt]
    last = state[e, Engine.iteration] + engines.prompts[p, Prompts.output]
    if limits.max_utilization:
        last -= engines.spells[r, Spell.generated]
    push(engines.finish, e, state[e, Engine.running], (last << REQUEST_BITS) | r)
    if sent.shape[1] > Sent.iteration:
        sent[r, Sent.iteration] = state[e, Engine.iteration]
    state[e, Engine.running] += 1
    state[e, Engine.counted] += is_counted(engines, p)
    state[e, Engine.context] += context
    if limits.max_utilization:
        change_needs(engines, e, r, 1)


@inner
def note_first_tokens(engines: Engines, e: int, end: int) -> None:
    """Note that the requests whose prefill the iteration completes get a token at its end."""
    state = engines.state
    if state[e, Engine.completed] >= 0:
        note_token(engines, state[e, Engine.completed], end)
    r = state[e, Engine.first_joined]
    for _ in range(state[e, Engine.joined]):
        note_token(engines, r, end)
        r = engines.sent[r, Sent.following]


@inner
def note_token(engines: Engines, r: int, end: int) -> None:
    """Note a request's first token, or that after its pause; `end` 0 takes it back."""
    if engines.limits.max_utilization and engines.spells[r, Spell.generated]:
        engines.pauses[engines.spells[r, Spell.pause], Pause.resumed_ns] = end
    else:
        engines.times[r, Times.first_ns] = end + engines.reply_delay_ns if end else 0
