"""Prefetches what the turn of an engine needs, while the turns of others are played."""

from er.simulation.heaps import ARITY, ARITY_BITS
from er.simulation.instructions import prefetch
from er.simulation.jit import inner
from er.simulation.tables import ENGINE_COLUMNS, REQUEST_MASK, Engine, Engines, Sent, Tables

AHEAD = 8  # how many engines before its turn: thrice as many, twice, once


@inner
def prefetch_engine(engines: Engines, e: int) -> None:
    """Prefetch what an engine's turn needs first."""
    for column in range(0, ENGINE_COLUMNS, 8):
        prefetch(engines.state, e, column)
    prefetch(engines.finish, e, 0)


@inner
def prefetch_requests(engines: Engines, e: int) -> None:
    """Prefetch the request that ends next, for the first that waits, and for where it will join."""
    state = engines.state
    r = engines.finish[e, 0] & REQUEST_MASK
    prefetch(engines.sent, r, 0)
    prefetch(engines.times, r, 0)
    prefetch(engines.finish, e, state[e, Engine.running])
    prefetch(engines.finish, e, state[e, Engine.running] >> ARITY_BITS)
    prefetch(engines.finish, e, ARITY)
    if state[e, Engine.head] >= 0:
        prefetch(engines.sent, state[e, Engine.head], 0)


@inner
def prefetch_prompts(engines: Engines, e: int, tables: Tables) -> None:
    """Prefetch the prompts of these requests, and about where the segments to come take their time
    from."""
    state = engines.state
    decoding, context = state[e, Engine.decoding], state[e, Engine.mean_context]
    prefetch(engines.gaps, decoding, context)
    running = max(state[e, Engine.running] - 1, 0)
    prefetch(tables.until_ns, running, context + state[e, Engine.steps])
    prefetch(tables.decode_ns, running, context + state[e, Engine.steps])
    r = engines.finish[e, 0] & REQUEST_MASK
    prefetch(engines.prompts, engines.sent[r, Sent.prompt], 0)
    if engines.state[e, Engine.head] >= 0:
        r = engines.state[e, Engine.head]
        prefetch(engines.prompts, engines.sent[r, Sent.prompt], 0)
