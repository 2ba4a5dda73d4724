"""Open the gateway's ports, serve, drain."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from er.config import FastGateway
from er.errors import ErError
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
            ssl=tls_context(server.settings),
            ssl_handshake_timeout=handshake_s,
            ssl_shutdown_timeout=handshake_s,
        )
    except OSError as error:
        raise port_error(f"port {port} of {host}", error) from error
    administration = await administer(server)
    server.experts.count_usable()
    upkeep.discover_models(server)
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


def tls_context(settings: FastGateway) -> ssl.SSLContext | None:
    """What speaks TLS to clients; None without a certificate. Raises ErError for a bad one."""
    if not settings.tls_certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ErError(
            f"gateway.tls_certificate {settings.tls_certificate} and gateway.tls_key cannot be "
            f"used: {error.strerror or error}"
        ) from error
    return context
