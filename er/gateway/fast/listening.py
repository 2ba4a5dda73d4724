"""Open the gateway's ports, serve, drain."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from er.config import FastGateway
from er.errors import ErError
from er.gateway.fast import client, probe
from er.gateway.fast.replica import OPENAI
from er.gateway.fast.server import Server

BACKLOG = 65535


@asynccontextmanager
async def listening(server: Server, host: str, port: int) -> AsyncIterator[int]:
    """Serve for as long as the block lasts, then drain; the port that was opened.

    Raises ErError when the port cannot be opened.
    """
    loop = asyncio.get_running_loop()
    try:
        opened = await loop.create_server(
            client.protocol(server),
            host,
            port,
            backlog=BACKLOG,
            reuse_port=server.reuses_port,
            ssl=tls_context(server.settings),
        )
        administration = (
            await loop.create_server(
                client.protocol(server, admin=True), "127.0.0.1", server.settings.admin_port
            )
            if server.settings.admin_port and server.counts.process == 0
            else None
        )
    except OSError as error:
        raise port_error(host, port, error) from error
    sweeping = loop.create_task(server.sweep_for_ever())
    for replica in server.experts.replicas:
        if replica.dialect == OPENAI:
            server.spawn(probe.discover_model(replica, server.timeouts.probe_s))
    try:
        yield opened.sockets[0].getsockname()[1]
    finally:
        opened.close()
        if administration:
            administration.close()
        await server.drain()
        sweeping.cancel()


def port_error(host: str, port: int, error: OSError) -> ErError:
    """An error that names a port that cannot be opened, and why."""
    why = error.strerror or os.strerror(error.errno or 0)
    return ErError(
        f"port {port} of {host} cannot be opened ({why}): stop what uses it, or choose another"
    )


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
