"""Time limits: half a request, silent experts, clients that do not read."""

import asyncio
import socket
import subprocess
import time
from itertools import cycle
from pathlib import Path

import pytest

from er.config import Policy
from er.gateway.fast import upkeep
from tests.unit.gateway.conftest import HOST, Start, event
from tests.unit.gateway.raw import END, HEAD, RawExpert, answering, chunk, post, say, status
from tests.unit.gateway.test_gateway_policies import DEAD, ONE, metric


@pytest.mark.parametrize(("sent", "limit"), [
    (b"POST /v2 HTT", {"header_s": 0.5}),
    (post()[:-3], {"body_s": 0.5}),
])  # fmt: skip
async def test_half_a_request_is_not_waited_for(
    start: Start, sent: bytes, limit: dict[str, float]
) -> None:
    gateway = await start(urls=[DEAD, DEAD], timeouts=limit)
    many = await asyncio.gather(*(say(gateway.port, sent) for _ in range(100)))
    assert {status(answer) for answer in many} == {408}
    assert await metric(gateway, 'er_gateway_errors_total{cause="slow_request"}') == 100
    assert (await gateway.get("/health"))[0] == 200


async def test_nobody_is_late_because_the_gateway_was_stopped(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "STEP_AT_MOST_S", 0.1)
    async with answering(ONE).serving() as url:
        gateway = await start(urls=[url, url], timeouts={"header_s": 0.9})
        with socket.create_connection((HOST, gateway.port)) as client:
            await asyncio.sleep(0.1)
            client.sendall(post()[:30])  # comes while the gateway is stopped
            time.sleep(1.5)  # noqa: ASYNC251 (all stands still, as between SIGSTOP and SIGCONT)
            await asyncio.sleep(0.3)
            client.sendall(post()[30:])
            assert b" 200 " in await asyncio.to_thread(client.recv, 100)


async def test_a_tls_handshake_is_not_waited_for(start: Start, tmp_path: Path) -> None:
    files = {"tls_certificate": str(tmp_path / "cert.pem"), "tls_key": str(tmp_path / "key.pem")}
    made = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-subj", "/CN=localhost", "-keyout", files["tls_key"], "-out",
        files["tls_certificate"],
    ]  # fmt: skip
    await asyncio.to_thread(subprocess.run, made, check=True, capture_output=True)
    gateway = await start(urls=["http://h:1/v1"] * 2, timeouts={"header_s": 0.5}, **files)
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # the begin of one
    for begun in (b"", hello):
        # Sooner than asyncio's own limit, a minute.
        assert await say(gateway.port, begun, timeout_s=30) == b""
    assert gateway.server
    assert not gateway.server.clients


async def test_an_idle_connection_is_closed(start: Start) -> None:
    gateway = await start(urls=[DEAD, DEAD], timeouts={"keepalive_s": 0.1})
    reader, writer = await asyncio.open_connection(HOST, gateway.port)
    assert await asyncio.wait_for(reader.read(), 60) == b""
    writer.close()


async def test_a_first_byte_that_does_not_come_is_requested_elsewhere(start: Start) -> None:
    async def silent(_: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(60)
        return False

    async with RawExpert(silent).serving() as url, answering(ONE).serving() as other:
        limits = {"first_byte_s": 0.5}
        gateway = await start(urls=[url, other], policy=Policy.round_robin, timeouts=limits)
        assert status(await say(gateway.port, post())) == 200
        alone = await start(urls=[url, url], timeouts=limits, retries=0)
        assert status(await say(alone.port, post())) == 504


@pytest.mark.parametrize("limit", ["idle_s", "total_s"])
async def test_a_silent_stream_ends_with_an_error_event(start: Start, limit: str) -> None:
    async def hesitant(writer: asyncio.StreamWriter) -> bool:
        writer.write(HEAD + chunk(event("one")))
        await asyncio.sleep(60)
        return False

    async with RawExpert(hesitant).serving() as url:
        gateway = await start(urls=[url, url], timeouts={limit: 0.5})
        got = await say(gateway.port, post())
    assert got.count(event("one")) == 1
    assert b'data: {"error": "expert' in got
    assert got.endswith(END)


async def test_a_client_that_does_not_read_holds_the_expert_back(start: Start) -> None:
    sent = 0
    piece = chunk(b"data: " + b"x" * 60_000 + b"\n\n")

    async def flood(writer: asyncio.StreamWriter) -> bool:
        nonlocal sent
        writer.write(HEAD)
        while sent < 100_000_000:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
        return False

    expert = RawExpert(flood)
    async with expert.serving() as url:
        gateway = await start(urls=[url, url], timeouts={"client_stall_s": 1.0})
        reader, writer = await asyncio.open_connection(HOST, gateway.port, limit=1024)
        writer.write(post())
        await asyncio.wait_for(expert.left.wait(), 60)  # the client is given up
        assert sent < 20_000_000  # what kernels and buffers take
        writer.close()
        del reader


async def test_no_limit_ends_early(start: Start) -> None:
    limit_s = 0.3  # more than the time between two looks

    async def answer(writer: asyncio.StreamWriter) -> bool:
        if next(begins):
            writer.write(HEAD + chunk(event("one")))
        await asyncio.sleep(60)
        return False

    begins = cycle((True, False))
    names = ("header_s", "body_s", "keepalive_s", "first_byte_s", "idle_s")
    limits = dict.fromkeys(names, limit_s)
    async with RawExpert(answer).serving() as url:
        gateway = await start(urls=[url, url], timeouts=limits, retries=0)
        full = await start(
            urls=[url], timeouts={"queue_s": limit_s}, at_most=1, policy=Policy.random
        )
        holding = asyncio.ensure_future(say(full.port, post()))

        async def took(port: int, sent: bytes, after_s: float) -> float:
            await asyncio.sleep(after_s)
            started_s = time.monotonic()
            await say(port, sent)
            return time.monotonic() - started_s

        half_head, half_body, nothing = post()[:20], post()[:-3], b""
        times_s = await asyncio.gather(*(
            took(port, sent, at * upkeep.EVERY_S / 4)
            for port, sent in (*((gateway.port, each) for each in
                                 (half_head, half_body, nothing, post(), post())),
                               (full.port, post()))
            for at in range(4)
        ))  # fmt: skip
        holding.cancel()
    assert min(times_s) >= limit_s
