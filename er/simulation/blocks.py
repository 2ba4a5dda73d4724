"""KV-cache blocks of an engine in virtual time, as `batching.Batch` has them, many steps at once.

A request whose context of c tokens was prefilled in iteration i needs its next block in iteration
i + 1 - c and every tokens_per_block iterations from there: counting requests by that number gives
the blocks that any steps need without looking at requests.
"""

from er.simulation.jit import inner
from er.simulation.tables import (
    LEAST_LOADED,
    Chain,
    Engine,
    Engines,
    Prompts,
    Sent,
    Spell,
)


@inner
def blocks_of(engines: Engines, tokens: int) -> int:
    """Blocks that hold so many tokens."""
    return -(-tokens // engines.limits.tokens_per_block)


@inner
def blocks_at_start(engines: Engines, p: int, context: int) -> int:
    """Blocks that a request takes when it joins with so many tokens to prefill."""
    if engines.limits.max_utilization:
        return blocks_of(engines, context)
    return int(engines.prompts[p, Prompts.blocks])


@inner
def take(engines: Engines, e: int, blocks: int) -> None:
    """Take free blocks, cached ones last: of the chain left longest ago, from its end."""
    state, chains = engines.state, engines.chains
    state[e, Engine.free_blocks] -= blocks
    while state[e, Engine.idle_blocks] > state[e, Engine.free_blocks]:
        c = state[e, Engine.oldest]
        lacking = state[e, Engine.idle_blocks] - state[e, Engine.free_blocks]
        lost = min(chains[c, Chain.blocks], lacking)
        chains[c, Chain.blocks] -= lost
        state[e, Engine.idle_blocks] -= lost
        if chains[c, Chain.blocks] == 0:
            unlink(engines, e, c)


@inner
def due(engines: Engines, e: int, iteration: int, steps: int) -> int:
    """Blocks that so many steps of decoding need from an iteration on."""
    needs, period = engines.needs, engines.limits.tokens_per_block
    blocks = steps // period * engines.state[e, Engine.decoding]
    for i in range(iteration, iteration + steps % period):
        blocks += needs[e, i % period]
    return int(blocks)


@inner
def steps_with_room(engines: Engines, e: int, steps: int) -> int:
    """How many of so many steps of decoding there are blocks for; those of the first are taken."""
    state, needs, period = engines.state, engines.needs, engines.limits.tokens_per_block
    running, free = state[e, Engine.decoding], state[e, Engine.free_blocks]
    if running * ((steps - 1 + period - 1) // period) <= free:
        return steps
    with_room = free // running * period + 1
    free %= running
    while with_room < steps:
        need = needs[e, (state[e, Engine.iteration] + with_room) % period]
        if need > free:
            break
        free -= need
        with_room += 1
    return int(with_room)


@inner
def change_needs(engines: Engines, e: int, r: int, change: int) -> None:
    """Count request `r` among those that grow, or no longer."""
    context = engines.prompts[engines.sent[r, Sent.prompt], Prompts.input]
    context += engines.spells[r, Spell.generated]
    first = engines.sent[r, Sent.iteration] + 1 - context
    engines.needs[e, first % engines.limits.tokens_per_block] += change


@inner
def chain_of(engines: Engines, e: int, p: int) -> int:
    """The chain of a prompt's group on engine `e`; -1 when it has none."""
    if not engines.limits.kv_cache_reuse:
        return -1
    c = engines.prompts[p, Prompts.chain]
    if c >= 0 and engines.prompts[p, Prompts.engine] == LEAST_LOADED:
        c += e
    return int(c)


@inner
def reusable(engines: Engines, c: int, p: int, context: int) -> int:
    """How many leading blocks of a prompt are cached; one token at least is left to prefill."""
    if c < 0:
        return 0
    shared = (context - 1) // engines.limits.tokens_per_block
    shared = min(shared, engines.prompts[p, Prompts.shared])
    return int(min(shared, engines.chains[c, Chain.blocks]))


@inner
def begin(engines: Engines, e: int, r: int, blocks: int, c: int, reused: int) -> None:
    """Take the blocks with which request `r` starts; it begins its chain again where nobody else
    uses that."""
    state, chains = engines.state, engines.chains
    if c >= 0:
        if chains[c, Chain.requests] == 0 and chains[c, Chain.blocks]:
            unlink(engines, e, c)
            state[e, Engine.idle_blocks] -= chains[c, Chain.blocks]
            state[e, Engine.free_blocks] -= reused
            chains[c, Chain.blocks] = reused
        chains[c, Chain.requests] += 1
        engines.spells[r, Spell.chained] = reused
    take(engines, e, blocks - reused)


@inner
def keep(engines: Engines, e: int, r: int) -> None:
    """Let others of its group find the whole blocks of a prompt that is prefilled."""
    p = engines.sent[r, Sent.prompt]
    c = chain_of(engines, e, p)
    if c >= 0:
        blocks = engines.prompts[p, Prompts.input] // engines.limits.tokens_per_block
        more = blocks - engines.chains[c, Chain.blocks]
        if more > 0:
            engines.chains[c, Chain.blocks] += more
            engines.spells[r, Spell.chained] += more


@inner
def release(engines: Engines, e: int, r: int, blocks: int) -> None:
    """Free the blocks of request `r`; those of its chain when nobody else uses them, to be found
    again while they are not taken."""
    state, chains = engines.state, engines.chains
    state[e, Engine.free_blocks] += blocks
    c = chain_of(engines, e, engines.sent[r, Sent.prompt])
    if c < 0:
        return
    state[e, Engine.free_blocks] -= engines.spells[r, Spell.chained]
    chains[c, Chain.requests] -= 1
    left = chains[c, Chain.blocks]
    if chains[c, Chain.requests] == 0 and left:
        state[e, Engine.free_blocks] += left
        state[e, Engine.idle_blocks] += left
        link(engines, e, c)


@inner
def link(engines: Engines, e: int, c: int) -> None:
    """Put a chain that its last user has left behind those left before."""
    state, chains = engines.state, engines.chains
    newest = state[e, Engine.newest]
    chains[c, Chain.older] = newest
    chains[c, Chain.newer] = -1
    if newest >= 0:
        chains[newest, Chain.newer] = c
    else:
        state[e, Engine.oldest] = c
    state[e, Engine.newest] = c


@inner
def unlink(engines: Engines, e: int, c: int) -> None:
    """Take a chain out of those without users."""
    state, chains = engines.state, engines.chains
    older, newer = chains[c, Chain.older], chains[c, Chain.newer]
    if older >= 0:
        chains[older, Chain.newer] = newer
    else:
        state[e, Engine.oldest] = newer
    if newer >= 0:
        chains[newer, Chain.older] = older
    else:
        state[e, Engine.newest] = older
