"""One process, or several that share the port and count in common memory."""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import uvloop

from er.config import FastGateway
from er.gateway import choosers, keys, tls, tokens
from er.gateway.announcement import announce
from er.gateway.counts import Counts
from er.gateway.fast import admin, listening, time_slice
from er.gateway.fast.commands import Commands
from er.gateway.fast.family import Family
from er.gateway.fast.server import Server
from er.gateway.plan import Plan

GARBAGE_AFTER = 50_000  # objects more than freed: what a request makes is freed with it


def prepare(planned: Plan) -> Callable[[], None]:
    """Load everything; what is returned serves until TERM.

    Raises ErError when the router is damaged or a file is missing.
    """
    settings = planned.gateway
    assert isinstance(settings, FastGateway)
    tls.context(settings)
    chooser = choosers.chooser(*planned.shape)
    counts = Counts(settings.processes)
    known, token_limit = keys.read(settings.api_keys_file), tokens.limit(settings.limits)
    admin_keys = keys.read_admin(settings)

    def build() -> Server:
        built = Server(settings, chooser, planned.policy.value, planned.experts, counts)
        built.router_file, built.keys = planned.router, known
        built.admin_keys, built.token_limit = admin_keys, token_limit
        return built

    gc.set_threshold(GARBAGE_AFTER, 50, 100)
    gc.freeze()  # what is loaded stays: looking at it takes 10 ms each time
    if settings.processes == 1:
        return lambda: uvloop.run(serve(build(), settings.port, partial(announce, planned)))
    return lambda: _run_several(build, counts, planned)


def _run_several(build: Callable[[], Server], counts: Counts, planned: Plan) -> None:
    """Serve in several processes. Raises ErError when the port cannot be opened."""
    settings, commands = planned.gateway, Commands(counts.processes)
    found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
    family, kind, _, _, address = found[0]
    with socket.socket(family, kind) as reserved:  # bound, not listening: it only keeps the port
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            reserved.bind(address)
        except OSError as error:
            name = f"port {settings.port} of {settings.host}"
            raise listening.port_error(name, error) from error
        port = reserved.getsockname()[1]

        def run(process: int, started: Callable[[], None]) -> None:
            counts.become(process)
            own = build()
            own.commands = commands
            uvloop.run(serve(own, port, lambda _: started()))

        several = Family(counts, run, reload=lambda: commands.append({"command": "reload"}))
        several.serve(lambda: announce(planned, port))


async def serve(own: Server, port: int, opened: Callable[[int], None]) -> None:
    """Serve until TERM or INT, from when `opened` was called with the port.

    Raises ErError when the port cannot be opened.
    """
    time_slice.shorten()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_pass_over_lookups)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if own.commands:
        await admin.catch_up(own, own.commands)
        own.spawn(_follow(own, own.commands))
    else:
        loop.add_signal_handler(signal.SIGHUP, lambda: own.spawn(_reload(own)))
    async with listening.listening(own, own.settings.host, port) as actual_port:
        opened(actual_port)
        await stopped.wait()


def _pass_over_lookups(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A name that is looked up goes on when nobody waits any more: its failure is nobody's."""
    if not isinstance(context.get("exception"), socket.gaierror):
        loop.default_exception_handler(context)


async def _follow(own: Server, commands: Commands) -> None:
    """Carry out what other processes are told."""
    wake_end = commands.wake_end(own.counts.process)
    while True:
        await asyncio.get_running_loop().sock_recv(wake_end, 1)
        await admin.catch_up(own, commands)


async def _reload(own: Server) -> None:
    await admin.attempt(own, {"command": "reload"})
