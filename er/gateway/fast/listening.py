"""Open the gateway's ports, serve, drain."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from er.errors import ErError
from er.gateway import tls
from er.gateway.fast import client, upkeep
from er.gateway.fast.server import Server

BACKLOG = 65535


@asynccontextmanager
async def listening(server: Server, host: str, port: int) -> AsyncIterator[int]:
    """Serve for as long as the block lasts, then drain; the port that was opened.

    Raises ErError when the port cannot be opened.
    """
    loop = asyncio.get_running_loop()
    handshake_s = server.timeouts.header_s if server.tls else None
    try:
        opened = await loop.create_server(
            client.protocol(server),
            host,
            port,
            backlog=BACKLOG,
            reuse_port=server.reuses_port,
            ssl=tls.context(server.settings),
            ssl_handshake_timeout=handshake_s,
            ssl_shutdown_timeout=handshake_s,
        )
    except OSError as error:
        raise port_error(f"port {port} of {host}", error) from error
    administration = await administer(server)
    server.experts.count_usable()
    upkeep.discover_models(server, time.monotonic())
    looking = loop.create_task(upkeep.look_after(server))
    try:
        yield opened.sockets[0].getsockname()[1]
    finally:
        opened.close()
        if administration:
            administration.close()
        await server.drain()
        looking.cancel()


async def administer(server: Server) -> asyncio.Server | None:
    """Open the administrator's port, in the first process. Raises ErError."""
    port = server.settings.admin_port
    if not port or server.counts.process:
        return None
    protocol = client.protocol(server, admin=True)
    try:
        return await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", port)
    except OSError as error:
        raise port_error(f"gateway.admin_port {port}", error) from error


def port_error(port: str, error: OSError) -> ErError:
    """An error that names a port that cannot be opened, and why."""
    why = error.strerror or os.strerror(error.errno or 0)
    return ErError(f"{port} cannot be opened ({why}): stop what uses it, or choose another")
