"""A head that was read before is not parsed again: nothing else may change by that."""

import asyncio
import json
import random
import re

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from er.config import Policy
from er.gateway import choosers
from er.gateway.fast import reading
from er.gateway.fast.client import Client
from er.gateway.fast.server import Server
from tests.unit.gateway.raw import post
from tests.unit.gateway.test_hostile import EchoExpert, FakeTransport, mangled, small_settings

VARYING = re.compile(
    rb"x-er-gateway-us: \d+|x-request-id: [0-9a-f]{12}-[0-9a-f]+|[0-9a-f]{32}|\d{10}"
    rb"|content-length: \d{4,}|(?m:^(?:# |er_gateway).*\n)"
)


class Session:
    """One client of a gateway, both in memory."""

    def __init__(self, gateway: tuple[Server, EchoExpert]) -> None:
        self.server, self.expert = gateway
        self.heard = bytearray()
        self.transport = FakeTransport(self.heard.extend)
        self.client = Client(self.server, admin=False)
        self.client.connection_made(self.transport)  # type: ignore[arg-type]

    def send(self, data: bytes) -> None:
        """Send bytes; the expert answers what it gets."""
        if not self.transport.closed:
            self.expert.offer()
            self.client.data_received(data)
            self.expert.answer()

    def forget_heads(self) -> None:
        """As if no request had come before, on this connection or another."""
        self.server.known_heads.clear()
        self.client._reader._known = None

    @property
    def answers(self) -> bytes:
        """What was heard, without what differs from run to run."""
        return VARYING.sub(b"", bytes(self.heard))


def build() -> tuple[Server, EchoExpert]:
    """A gateway and its expert, which echoes."""
    urls = [["http://127.0.0.1:1/generate_stream"]]
    server = Server(small_settings(), choosers.Baseline(Policy.random, 1), "random", urls)
    server.tls = True  # writes go through the transport
    return server, EchoExpert(server)


def body(text: str) -> bytes:
    return json.dumps({"text_input": text}).encode()


async def test_the_digits_of_the_length_may_differ() -> None:
    gateway = build()
    for text in ("a", "b" * 100, "c" * 3000, "", "d" * 99):
        session = Session(gateway)
        session.send(post(body(text)))
        assert text.encode() in session.heard
        assert b" 200 " in session.heard
    assert len(gateway[0].known_heads) == 1


@pytest.mark.parametrize("header", ["x-request-id: a", "connection: close", "expect: 100-continue"])
async def test_heads_of_one_request_only_are_not_kept(header: str) -> None:
    gateway = build()
    Session(gateway).send(post(body("a"), header))
    assert not gateway[0].known_heads


@pytest.mark.parametrize(
    "length",
    ["{}", "00{}", "+{}", "-{}", " {}", "{} ", "{}\t", "{}, {}", "{}.0", "0x{}", "1{}", "", "\r{}",
     "{}\r\ncontent-length: {}", "{}\r\nx-a: b", "000000000{}", "{}_0", "\u0661{}"],
)  # fmt: skip
async def test_a_length_is_read_as_strictly_where_the_rest_of_the_head_is_known(
    length: str,
) -> None:
    """On one connection and on another, whole and in pieces."""
    known, unknown, warm = Session(build()), Session(build()), build()
    Session(warm).send(post(body("warm")))
    other = Session(warm)
    plain = post(body("abc"))
    known.send(plain)
    unknown.send(plain)
    size = f"{len(body('abc'))}"
    written = length.replace("{}", size).encode()
    odd = plain.replace(b"content-length: " + size.encode(), b"content-length: " + written)
    assert odd != plain or length == "{}"
    for session in (known, unknown):
        unknown.forget_heads()
        session.send(odd)
    alone = Session(build())
    alone.send(odd)
    other.send(odd)
    assert known.answers == unknown.answers
    assert other.answers == alone.answers
    assert known.transport.closed is unknown.transport.closed


async def test_known_heads_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "KNOWN_HEADS_AT_MOST", 10)
    gateway = build()
    for number in range(100):
        Session(gateway).send(post(body("a"), f"x-trace: {number}"))
    assert 0 < len(gateway[0].known_heads) <= 10
    Session(gateway).send(post(body("a"), "x-trace: " + "1" * 3000))
    assert len(gateway[0].known_heads) <= 10


@given(st.integers(0, 2**64))
@hypothesis_settings(
    max_examples=100,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
def test_requests_get_the_same_answer_whether_their_head_is_known_or_not(seed: int) -> None:
    async def compare() -> None:
        seeds = random.Random(seed)
        warm = build()
        Session(warm).send(post(body("warm")))
        for number in range(20):
            known, unknown = Session(warm), Session(build())
            pieces = [post(body(f"secret{number}x"))] * seeds.choice([1, 2])
            rest = mangled(seeds, "secret")
            while rest:
                size = seeds.choice([1, 50, 200, 10_000, 10_000])
                pieces.append(rest[:size])
                rest = rest[size:]
            for piece in pieces:
                known.send(piece)
                unknown.forget_heads()
                unknown.send(piece)
            assert known.answers == unknown.answers
            assert known.transport.closed is unknown.transport.closed

        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(compare())
