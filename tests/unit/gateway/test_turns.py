"""What one peer sends at once is read in several turns of the loop, so that others have theirs."""

import asyncio
import time
from collections.abc import Callable

import pytest

from er.config import Policy
from er.gateway import choosers
from er.gateway.fast import reading
from er.gateway.fast.client import Client
from er.gateway.fast.connection import Connection
from er.gateway.fast.pace import FULL_READ_BYTES
from er.gateway.fast.server import Server
from tests.unit.gateway.conftest import Start, event, settings
from tests.unit.gateway.raw import BODY, END, HEAD, answering, chunk, post, say, status
from tests.unit.gateway.test_hostile import FakeTransport
from tests.unit.gateway.test_long_prompts import LOOKS, limit_s
from tests.unit.gateway.test_malformed import CHUNKED

ONE = HEAD + chunk(event("one")) + END
HEALTH = b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n"


class Transport(FakeTransport):
    """Knows whether it is being read."""

    reads = True

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


def connected(hear: Callable[[bytes], None]) -> tuple[Server, Client, Transport]:
    """A gateway with one client."""
    urls = [["http://127.0.0.1:1/generate_stream"]]
    server = Server(settings(), choosers.Baseline(Policy.random, 1), "random", urls)
    server.tls = True  # writes go through the transport
    client, transport = Client(server, admin=False), Transport(hear)
    client.connection_made(transport)  # type: ignore[arg-type]
    return server, client, transport


async def test_a_client_that_sends_much_is_read_once_a_turn() -> None:
    _, client, transport = connected(lambda _: None)
    head, _, _ = post(b"x" * 1_000_000).partition(b"\r\n\r\n")
    client.data_received(head + b"\r\n\r\n" + b"x" * FULL_READ_BYTES)
    assert not transport.reads
    await asyncio.sleep(0)
    assert transport.reads
    client.data_received(b"x" * 100)
    assert transport.reads
    client.connection_lost(None)


async def test_an_expert_that_sends_much_is_read_once_a_turn() -> None:
    server, client, _ = connected(lambda _: None)
    [replica] = server.experts.replicas
    connection, transport = Connection(replica), Transport(lambda _: None)
    connection.connection_made(transport)  # type: ignore[arg-type]
    replica.idle.append(connection)
    client.data_received(post())
    connection.data_received(HEAD + chunk(b"x" * FULL_READ_BYTES))
    assert not transport.reads
    client.pause_writing()
    await asyncio.sleep(0)
    assert not transport.reads  # until the client has caught up
    client.resume_writing()
    assert transport.reads
    client.connection_lost(None)


@pytest.mark.parametrize("request_", [HEALTH, b"GET /nothing HTTP/1.1\r\nhost: h\r\n\r\n", post()])
async def test_many_requests_at_once_are_read_in_steps(request_: bytes) -> None:
    for _ in range(LOOKS):
        limit = limit_s()
        longest_s = await longest_step(request_)
        if longest_s < limit:
            return
    raise AssertionError(f"a step takes {longest_s:.4f} s, more than {limit:.4f} s")


async def longest_step(request_: bytes) -> float:
    """The longest time that the thread worked without a turn for others."""
    heard = bytearray()
    server, client, transport = connected(heard.extend)
    [replica] = server.experts.replicas

    def answer(_: bytes) -> None:
        asyncio.get_running_loop().call_soon(connection.data_received, ONE)

    connection = Connection(replica)
    connection.connection_made(Transport(answer))  # type: ignore[arg-type]
    replica.idle.append(connection)
    count = 250_000 // len(request_)
    before_s = time.thread_time()
    client.data_received(request_ * count)
    longest_s = time.thread_time() - before_s
    assert not transport.reads
    assert heard.count(b"HTTP/1.1 ") < reading.STEP_BYTES // len(request_) + 2
    while heard.count(b"HTTP/1.1 ") < count:
        before_s = time.thread_time()
        await asyncio.sleep(0)
        longest_s = max(longest_s, time.thread_time() - before_s)
    await asyncio.sleep(0)
    assert transport.reads
    client.connection_lost(None)
    return longest_s


@pytest.mark.parametrize(
    ("data", "right"),
    [
        (CHUNKED + chunk(b"ab") * 40_000, 413),
        (post(BODY, *("a: b" for _ in range(4000))), 431),
        (
            CHUNKED + chunk(BODY[:5]) + b"".join(chunk(BODY[at : at + 1]) for at in range(5, 22)),
            200,
        ),
    ],
)
async def test_many_small_pieces_are_refused(start: Start, data: bytes, right: int) -> None:
    async with answering(ONE).serving() as url:
        gateway = await start(urls=[url, url])
        answer = await say(gateway.port, data + (chunk(BODY[22:]) + END if right == 200 else b""))
    assert status(answer) == right


async def test_a_fault_of_the_gateway_is_no_clients_fault_and_no_hang(start: Start) -> None:
    async with answering(ONE).serving() as url:
        gateway = await start(urls=[url])  # of two that the router knows
        for _ in range(3):
            assert status(await say(gateway.port, post(b'{"text_input": "oven"}'))) in (0, 200)
            assert status(await say(gateway.port, post(b'{"text_input": "court"}'))) in (0, 200)
        assert gateway.server
        assert not gateway.server.exchanges
