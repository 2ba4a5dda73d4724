"""Connections write together at the end of a turn: in order, all of it, and nothing once closed."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from er.gateway.fast.outbox import FEW, TOGETHER, DirectWriter, Outbox

MANY = range(FEW + 1)


class Writer(DirectWriter):
    """A connection of this outbox."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__(direct=True)
        self._outbox = outbox


@asynccontextmanager
async def connected(outbox: Outbox) -> AsyncIterator[tuple[Writer, socket.socket]]:
    """A connection and the socket of its peer, which does not block."""
    own, peer = socket.socketpair()
    own.setblocking(False)
    peer.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, writer = await loop.create_connection(lambda: Writer(outbox), sock=own)
    with peer:
        yield writer, peer
        transport.abort()
        await asyncio.sleep(0)


def read(peer: socket.socket) -> bytes:
    try:
        return peer.recv(2**20)
    except BlockingIOError:
        return b""


async def test_what_is_sent_in_a_turn_is_written_at_its_end_in_order() -> None:
    outbox = Outbox(MANY)
    async with connected(outbox) as (one, peer), connected(outbox) as (other, other_peer):
        one.send(b"a")
        other.send(b"b")
        one.send(b"c")
        assert read(peer) == read(other_peer) == b""
        await asyncio.sleep(0)
        assert (read(peer), read(other_peer)) == (b"ac", b"b")
        one.send(b"d")
        one.flush()
        assert read(peer) == b"d"
        await asyncio.sleep(0)
        assert read(peer) == b""


async def test_few_requests_are_written_at_once() -> None:
    async with connected(Outbox(range(FEW))) as (writer, peer):
        writer.send(b"a")
        assert read(peer) == b"a"


async def test_no_more_than_some_wait_for_one_another() -> None:
    outbox = Outbox(MANY)
    async with connected(outbox) as (first, peer), connected(outbox) as (other, _):
        first.send(b"a")
        for _ in range(TOGETHER - 1):
            assert read(peer) == b""
            outbox.add(other)
        assert read(peer) == b"a"


async def test_a_large_answer_is_written_whole_and_what_follows_comes_after_it() -> None:
    sent = os.urandom(4_000_000)
    async with connected(Outbox(MANY)) as (writer, peer):
        for at in range(0, len(sent), 400_000):
            writer.send(sent[at : at + 400_000])
            await asyncio.sleep(0)
        got = b""
        while len(got) < len(sent):
            got += read(peer)
            await asyncio.sleep(0)
        assert got == sent


async def test_nothing_is_written_to_the_next_user_of_a_descriptor() -> None:
    async with connected(Outbox(MANY)) as (writer, _):
        descriptor = writer._fd
        writer.send(b"secret")
        writer.transport.abort()
        reader, written = os.pipe()
        try:
            os.dup2(written, descriptor)  # as the next connection gets it
            await asyncio.sleep(0)
            os.set_blocking(reader, False)
            with suppress(BlockingIOError):
                assert os.read(reader, 10) == b""
        finally:
            os.close(written)
            os.close(reader)
