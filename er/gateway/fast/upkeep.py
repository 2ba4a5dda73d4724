"""What a gateway looks after while it serves: what is late, experts that may be ready again."""

import asyncio
import sys
import time
import traceback
from typing import TYPE_CHECKING

from er.gateway.fast import probe
from er.gateway.fast.lateness import end_if_late
from er.gateway.fast.replica import Replica
from er.gateway.output import say

if TYPE_CHECKING:
    from er.gateway.fast.server import Server

EVERY_S = 0.25
STEP_AT_MOST_S = 1.0  # more time does not count: the process was stopped meanwhile
AT_ONCE = 1000  # clients or requests that are looked at before others have their turn
DISCOVER_EVERY_S = 5.0


async def look_after(server: "Server") -> None:
    """For ever."""
    looked_s = time.monotonic()
    while True:
        await asyncio.sleep(EVERY_S)
        before_s, looked_s = looked_s, time.monotonic()
        stopped_s = looked_s - before_s - STEP_AT_MOST_S
        try:
            if stopped_s > 0:
                pass_over(server, stopped_s, looked_s)
            await look(server, looked_s)
        except Exception:  # a fault ends one look, not all that come
            say(f"er.gateway: {traceback.format_exc()}", sys.stderr)


def pass_over(server: "Server", stopped_s: float, now_s: float) -> None:
    """Let time limits count on where they were before the process was stopped."""
    for connected in server.clients:
        connected.pass_over(stopped_s, now_s)
    for exchange in server.exchanges:
        exchange.pass_over(stopped_s, now_s)


async def look(server: "Server", now_s: float) -> None:
    """Once, at `now_s`."""
    for at, connected in enumerate(list(server.clients), 1):
        connected.sweep(now_s)
        if at % AT_ONCE == 0:
            await asyncio.sleep(0)
    for at, exchange in enumerate(list(server.exchanges), 1):
        end_if_late(exchange, now_s)
        if at % AT_ONCE == 0:
            await asyncio.sleep(0)
    for replica in server.experts.replicas:
        replica.close_idle(now_s - server.timeouts.keepalive_s)
        if replica.probe_at_s and not replica.probing and now_s >= replica.probe_at_s:
            server.spawn(_probe(server, replica))
    discover_models(server, now_s)
    server.experts.serve_queues()
    server.experts.count_usable()
    server.coalesce()
    server.log.write()


def discover_models(server: "Server", now_s: float) -> None:
    """Learn what experts call their models, which may start after the gateway."""
    for replica in server.experts.replicas:
        if replica.wants_model and now_s >= replica.discover_at_s:
            replica.discover_at_s = now_s + DISCOVER_EVERY_S
            server.spawn(probe.discover_model(replica, server.timeouts.probe_s))


async def _probe(server: "Server", replica: Replica) -> None:
    """Close the breaker when the expert answers an inference."""
    replica.probing = True
    try:
        problem = await probe.infer(replica, server.timeouts.probe_s)
    finally:
        replica.probing = False
    if problem:
        replica.open_breaker(time.monotonic() + server.settings.breaker_open_s)
    else:
        replica.close_breaker()
        say(f"er.gateway: expert {replica.cluster} ({replica.url}) answers again", sys.stderr)
        server.experts.freed(replica)
