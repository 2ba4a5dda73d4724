"""Twenty thousand mangled requests, straight into the protocol: no crash, no leak, no mix-up."""

import asyncio
import json
import random
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from er.config import FastGateway, Policy
from er.gateway import choosers
from er.gateway import counts as slots
from er.gateway.fast.client import Client
from er.gateway.fast.connection import Connection
from er.gateway.fast.openapi import document
from er.gateway.fast.server import Server
from tests.unit.gateway.conftest import event, settings
from tests.unit.gateway.raw import END, HEAD, PATH, RawExpert, answering, chunk, post, say
from tests.unit.gateway.test_malformed import CHUNKED, MALFORMED
from tests.unit.gateway.test_processes import running

EXAMPLES, CASES_EACH = 500, 40
ALLOWED = {100, 200, 400, 401, 404, 405, 408, 413, 415, 417, 429, 431, 505}
SPLICES = [
    b"\r\n", b"\n", b"\0", b":", b" ", b"\r\n\r\n", b"content-length: 5\r\n", b"0\r\n\r\n", b"\xff",
    b"transfer-encoding: chunked\r\n", b"[" * 300, b'"', b"{", b"}", b"HTTP/1.1", b"-1", b"\\ud800",
    b"expect: 100-continue\r\n", b"connection: close\r\n", b"content-encoding: gzip\r\n",
]  # fmt: skip


class FakeTransport:
    """A socket's place in memory."""

    def __init__(self, hear: Callable[[bytes], None]) -> None:
        self._hear = hear
        self.closed = False

    def fileno(self) -> int:
        return -1  # so that every write comes through `write`

    def get_extra_info(self, name: str) -> Any:
        return {"socket": self, "peername": ("127.0.0.1", 1)}[name]

    def write(self, data: bytes) -> None:
        self._hear(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = write_eof = close

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class EchoExpert:
    """Answers every prompt with the prompt itself, one kept connection after the other."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._asked: list[tuple[Connection, bytes]] = []

    def offer(self) -> None:
        """See that idle connections are there."""
        for replica in self._server.experts.replicas:
            while len(replica.idle) < 3:
                connection = Connection(replica)
                parts: list[bytes] = []

                def hear(data: bytes, own: Connection = connection, all_: Any = parts) -> None:
                    all_.append(data)
                    whole = b"".join(all_)
                    head, _, body = whole.partition(b"\r\n\r\n")
                    length = int(re.findall(rb"content-length: (\d+)", head)[-1])
                    if len(body) >= length:
                        assert len(body) == length
                        all_.clear()
                        self._asked.append((own, body))

                connection.connection_made(FakeTransport(hear))  # type: ignore[arg-type]
                replica.idle.append(connection)

    def answer(self) -> None:
        """Answer what was received."""
        while self._asked:
            connection, body = self._asked.pop()
            if connection.exchange:
                connection.data_received(
                    HEAD
                    + chunk(event(json.loads(body.decode(errors="replace"))["text_input"]))
                    + END
                )


def mangled(random_: random.Random, secret: str) -> bytes:
    """A request, or what is left of it."""
    body = json.dumps({"text_input": f"court {secret}", "max_tokens": 3}).encode()
    chat = json.dumps({"messages": [{"role": "user", "content": secret}], "stream": True}).encode()
    data = random_.choice(
        [
            post(body), post(body), CHUNKED + chunk(body) + END,
            post(chat, path="/v1/chat/completions"),
            post(body, path="/v1/completions"), b"GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n",
            random_.choice(list(MALFORMED.values()))[0][:3000],
        ]
    )  # fmt: skip
    data *= random_.choice([1, 1, 1, 2, 3])
    for _ in range(random_.choice([0, 1, 1, 2, 5])):
        at, to = sorted(random_.choices(range(len(data) + 1), k=2))
        action = random_.randrange(5)
        if action == 0:
            data = data[:at] + random_.choice(SPLICES) + data[at:]
        elif action == 1:
            data = data[:at] + data[min(to, at + 8) :]
        elif action == 2 and data:
            data = data[:at] + bytes([random_.randrange(256)]) + data[at + 1 :]
        elif action == 3:
            data = data[:at] + data[at : at + 200] + data[at:]
        elif action == 4:
            data = data[:to]
    return data


@cache
def small_settings() -> FastGateway:
    return settings(limits={"body_bytes": 5000, "header_bytes": 4000})


async def attack(seeds: random.Random, cases: int) -> None:
    """Send so many to one gateway, several clients at a time."""
    urls = [["http://127.0.0.1:1/generate_stream"]] * 2
    server = Server(small_settings(), choosers.Baseline(Policy.random, 2), "random", urls)
    server.tls = True  # writes go through the transport
    expert = EchoExpert(server)
    heard: list[bytearray] = []
    clients, secrets = [], set()
    for number in range(cases):
        # Far from each other: a digit that changed must not make it another client's.
        secret = f"secret{number:03}{seeds.getrandbits(32):08x}x"
        secrets.add(secret)
        heard.append(bytearray())
        transport = FakeTransport(heard[-1].extend)
        client = Client(server, admin=False)
        client.connection_made(transport)  # type: ignore[arg-type]
        data = mangled(seeds, secret)
        while data and not transport.closed:
            size = seeds.choice([1, 7, 100, 10_000]) if len(data) < 500 else 10_000
            expert.offer()
            client.data_received(data[:size])
            data = data[size:]
            if seeds.random() < 0.5:
                expert.answer()
        clients.append((client, transport, secret))
    for _ in range(5):
        expert.answer()
        await asyncio.sleep(0)
    for (client, transport, secret), got in zip(clients, heard, strict=True):
        for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", bytes(got)):
            assert int(code) in ALLOWED, bytes(got)
        found = {found.decode() for found in re.findall(rb"secret[0-9a-f]{11}x", bytes(got))}
        assert found & secrets <= {secret}
        transport.closed = True
        client.connection_lost(None)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert not server.exchanges
    assert not server.clients
    assert not server._reserved
    assert not any(server.counts.row[slots.IN_FLIGHT : slots.REQUESTS])
    assert not any(server.counts.row[slots.QUEUED : slots.USABLE])


@given(st.integers(0, 2**64))
@hypothesis_settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
def test_mangled_requests(seed: int) -> None:
    asyncio.run(attack(random.Random(seed), CASES_EACH))


async def test_the_gateways_own_description_holds(tmp_path: Any) -> None:
    schema = schemathesis.openapi.from_dict(document())
    expert = answering(HEAD + chunk(event("one")) + END)

    def check(port: int) -> int:
        called = 0
        for found in schema.get_all_operations():
            operation = found.ok()

            @given(case=operation.as_strategy())
            @hypothesis_settings(
                max_examples=25, deadline=None, suppress_health_check=list(HealthCheck)
            )
            def call(case: Any) -> None:
                nonlocal called
                called += 1
                response = case.call(base_url=f"http://127.0.0.1:{port}", timeout=60)
                allowed = {"200", "400", "401", "413", "415", "429"}
                assert str(response.status_code) in allowed, (case, response.text)

            call()
        return called

    async with expert.serving() as url:
        with running(tmp_path, [url]) as (port, process):
            assert await asyncio.to_thread(check, port) > 50
            assert process.poll() is None
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_every_stream_carries_its_own_secret(tmp_path: Any) -> None:
    async def answer(writer: asyncio.StreamWriter) -> bool:
        secret = json.loads(expert.received[-1].partition(b"\r\n\r\n")[2])["text_input"]
        writer.write(HEAD)
        for _ in range(20):
            writer.write(chunk(event(secret)))
            await asyncio.sleep(0.01)
        writer.write(END)
        return True

    expert = RawExpert(answer)
    async with expert.serving() as url:
        with running(tmp_path, [url, url]) as (port, _):

            async def ask(number: int) -> None:
                secret = f"secret{number}x"
                body = json.dumps({"text_input": secret}).encode()
                got = await say(port, post(body, path=PATH), 60)
                assert re.findall(rb"secret\d+x", got) == [secret.encode()] * 20

            await asyncio.gather(*(ask(number) for number in range(300)))
