"""One process, or several that share the port and count in common memory."""

import asyncio
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvloop

from er.config import FastGateway
from er.errors import ErError
from er.gateway import choosers, descriptors, keys
from er.gateway.counts import Counts
from er.gateway.fast import admin, listening
from er.gateway.fast.server import Server
from er.gateway.plan import Plan

COMMAND_BYTES = 65536
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
GARBAGE_AFTER = 50_000  # objects more than freed: what a request makes is freed with it


def prepare(planned: Plan) -> Callable[[], None]:
    """Load everything; what is returned serves until TERM.

    Raises ErError when the router is damaged, a file is missing, or the system allows too little.
    """
    settings = planned.gateway
    assert isinstance(settings, FastGateway)
    descriptors.require(settings)
    listening.tls_context(settings)
    chooser = choosers.chooser(*planned.shape)
    counts = Counts(settings.processes)
    known = keys.read(settings.api_keys_file)

    def build() -> Server:
        built = Server(settings, chooser, planned.policy.value, planned.experts, counts)
        built.router_file, built.keys = planned.router, known
        return built

    gc.set_threshold(GARBAGE_AFTER, 50, 100)
    gc.freeze()  # what is loaded stays: looking at it takes 10 ms each time
    if settings.processes == 1:
        return lambda: uvloop.run(serve(build(), settings.host, settings.port, planned))
    return lambda: _run_several(settings, counts, build, planned)


def _run_several(
    settings: FastGateway, counts: Counts, build: Callable[[], Server], planned: Plan
) -> None:
    """Fork the processes, start those again that die, and pass signals on.

    Raises ErError when the port cannot be opened.
    """
    from er.gateway.process import announce

    with socket.socket() as reserved:  # bound, not listening: it only keeps the port
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            reserved.bind((settings.host, settings.port))
        except OSError as error:
            raise listening.port_error(settings.host, settings.port, error) from error
        port = reserved.getsockname()[1]
        pairs = [
            socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(counts.processes)
        ]
        ready_end, started_end = os.pipe()

        def start(process: int) -> int:
            child = os.fork()
            if child:
                return child
            forget_signals()
            status = 1
            with suppress(ErError):
                counts.become(process)
                own = build()
                own.others = [send for at, (_, send) in enumerate(pairs) if at != process]
                listen = serve(own, settings.host, port, None, pairs[process][0], started_end)
                uvloop.run(listen)
                status = 0
            os._exit(status)

        children = {start(process): process for process in range(counts.processes)}
        for _ in children:
            os.read(ready_end, 1)
        announce(planned, port)
        _watch(children, start)


def _watch(children: dict[int, int], start: Callable[[int], int]) -> None:
    """Until TERM or INT: start what dies again."""
    stopping = False

    def pass_on(number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = stopping or number != signal.SIGHUP
        for child in list(children):
            with suppress(ProcessLookupError):
                os.kill(child, number)

    for number in SIGNALS:
        signal.signal(number, pass_on)
    while children:
        child, status = os.wait()
        process = children.pop(child)
        with held_signals():  # or a new process could miss one
            if not stopping:
                words = f"process {process} ended ({status}); another is started"
                print(f"er.gateway: {words}", flush=True)
                children[start(process)] = process


@contextmanager
def held_signals() -> Iterator[None]:
    """What comes in the block is taken at its end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def forget_signals() -> None:
    """In a new process: end by a signal, in place of passing it on, until it serves."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


async def serve(
    own: Server,
    host: str,
    port: int,
    planned: Plan | None,
    commands: socket.socket | None = None,
    started_end: int = -1,
) -> None:
    """Serve until TERM or INT. Raises ErError when the port cannot be opened."""
    from er.gateway.process import announce

    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: own.spawn(_reload(own)))
    if commands:
        commands.setblocking(False)
        loop.add_reader(commands, lambda: own.spawn(_carry_out(own, commands.recv(COMMAND_BYTES))))
    async with listening.listening(own, host, port) as opened:
        if planned:
            announce(planned, opened)
        if started_end >= 0:
            os.write(started_end, b"1")
        await stopped.wait()


async def _reload(own: Server) -> None:
    try:
        await admin.reload(own, own.router_file)
        print(f"er.gateway: router {own.chooser.digest}", flush=True)
    except ErError as error:
        print(f"er.gateway: kept the old router: {error}", file=sys.stderr, flush=True)


async def _carry_out(own: Server, command: bytes) -> None:
    with suppress(ErError):  # the process that got the command reports it
        await admin.carry_out(own, json.loads(command))
