"""Retries, breaker, queues, draining: what happens when things go wrong."""

import asyncio
import json
import re

import pytest

from er.config import Policy
from er.gateway import counts as slots
from tests.standins.waiting import until
from tests.unit.gateway.conftest import HOST, Expert, Gateway, Start, event
from tests.unit.gateway.raw import (
    BODY,
    END,
    HEAD,
    RawExpert,
    answering,
    chunk,
    post,
    say,
    status,
)
from tests.unit.gateway.test_relay import endless

ONE = HEAD + chunk(event("one")) + END
DEAD = f"http://{HOST}:1/generate_stream"  # nobody listens there


async def metric(gateway: Gateway, start: str) -> float:
    """The sum of the samples that begin so."""
    lines = (await gateway.get("/metrics"))[1].splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(start))


async def queued(gateway: Gateway, requests: int) -> None:
    """Return once so many wait for a place."""

    async def hold() -> bool:
        return await metric(gateway, "er_gateway_queued{") == requests

    await until(hold)


async def test_a_connection_that_the_expert_closed_is_replaced(start: Start) -> None:
    expert = answering(ONE, goes_on=False)  # says keep-alive, and closes
    async with expert.serving() as url:
        gateway = await start(urls=[url, url], retries=0)
        for _ in range(50):
            async with gateway.ask("court") as response:
                assert response.status == 200
                assert await response.read() == event("one")
    assert len(expert.received) == 50


async def test_a_kept_connection_that_dies_under_a_request_is_replaced(start: Start) -> None:
    received = 0

    async def answer(writer: asyncio.StreamWriter) -> bool:
        nonlocal received
        received += 1
        if received % 2:
            writer.write(ONE)
            return True
        writer.transport.abort()  # the second request of each connection is never answered
        return False

    async with RawExpert(answer).serving() as url:
        gateway = await start(urls=[url, url], retries=0)
        for _ in range(20):
            async with gateway.ask("court") as response:
                assert response.status == 200
                assert await response.read() == event("one")
    assert await metric(gateway, 'er_gateway_events_total{event="retries_connection"}') > 5


async def test_a_redirect_is_the_clients_to_follow(start: Start) -> None:
    answer = b"HTTP/1.1 303 See Other\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"
    async with answering(answer).serving() as url:
        gateway = await start(urls=[url, url])
        got = await say(gateway.port, post())
    assert status(got) == 303
    assert b"location: /elsewhere\r\n" in got


async def test_end_to_end_headers_pass_and_others_do_not(start: Start) -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n"
        b"retry-after: 7\r\nserver: secret/1.0\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\n"
        b"keep-alive: timeout=5\r\ntraceresponse: t\r\ncontent-length: 3\r\n\r\nabc"
    )
    expert = answering(answer)
    async with expert.serving() as url:
        gateway = await start(urls=[url, url])
        own = (
            "traceparent: 00-1", "authorization: Bearer secret", "connection: x-mine", "x-mine: 1",
            "x-request-id: abc-1", "te: trailers", "x-er-explain: 1", "accept-encoding: br",
        )  # fmt: skip
        got = await say(gateway.port, post(BODY, *own))
    for line in (b"content-encoding: gzip", b"retry-after: 7", b"traceresponse: t",
                 b"x-request-id: abc-1"):  # fmt: skip
        assert line + b"\r\n" in got
    for word in (b"secret", b"x-hop", b"keep-alive"):
        assert word not in got
    received = expert.received[0].lower()
    for line in (b"traceparent: 00-1", b"x-request-id: abc-1", b"accept-encoding: br"):
        assert line + b"\r\n" in received
    for word in (b"secret", b"x-mine", b"te: ", b"x-er-"):
        assert word not in received


async def test_authorization_is_passed_where_it_is_wanted(start: Start) -> None:
    expert = answering(ONE)
    async with expert.serving() as url:
        gateway = await start(urls=[url, url], pass_authorization=True)
        await say(gateway.port, post(BODY, "authorization: Bearer k"))
    assert b"authorization: Bearer k\r\n" in expert.received[0]


async def test_a_dead_expert_gets_nothing_from_least_loaded(start: Start) -> None:
    async with answering(ONE).serving() as url:
        gateway = await start(urls=[DEAD, url], policy=Policy.least_loaded, breaker_failures=2)
        for _ in range(50):
            async with gateway.ask("court") as response:
                assert response.status == 200
                assert response.headers["x-er-expert"] == "1"
        assert await metric(gateway, 'er_gateway_requests_total{expert="0"}') == 2
        code, reported = await gateway.get("/ready")
        assert code == 503
        assert '"problems": {"0": "cannot be reached' in reported
        assert DEAD.partition("//")[2][:9] not in reported


async def test_without_retries_a_dead_expert_is_reported(start: Start) -> None:
    gateway = await start(urls=[DEAD, DEAD], retries=0)
    async with gateway.ask("court") as response:
        assert response.status == 503
        assert "127.0.0.1" not in await response.text()


async def test_a_503_is_tried_elsewhere_and_a_400_is_not(start: Start) -> None:
    busy = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"
    wrong = b"HTTP/1.1 400 Bad\r\ncontent-length: 0\r\n\r\n"
    for first, right in ((busy, 200), (wrong, 400)):
        async with answering(first).serving() as url, answering(ONE).serving() as other:
            gateway = await start(urls=[url, other], policy=Policy.round_robin)
            assert status(await say(gateway.port, post())) == right


async def test_the_breaker_opens_on_failures_and_closes_after_an_inference(
    start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    expert = answering(b"HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n")
    async with expert.serving() as url:
        changes = {"retries": 0, "breaker_failures": 3, "breaker_open_s": 0.5}
        gateway = await start(urls=[url], policy=Policy.round_robin, **changes)
        codes = [status(await say(gateway.port, post())) for _ in range(5)]
        assert codes == [500, 500, 500, 503, 503]

        async def healthy(writer: asyncio.StreamWriter) -> bool:
            writer.write(ONE)
            return True

        expert.answer = healthy

        async def is_answered() -> bool:
            return status(await say(gateway.port, post())) == 200

        await until(is_answered)
        opened, closed = capfd.readouterr().err.splitlines()  # not a line for each request
        assert opened.startswith(f"er.gateway: expert 0 ({url}) gets no requests after 3 failures")
        assert closed == f"er.gateway: expert 0 ({url}) answers again"


async def test_what_clients_do_wrong_opens_no_breaker(start: Start) -> None:
    async with answering(b"HTTP/1.1 400 Bad\r\ncontent-length: 0\r\n\r\n").serving() as url:
        gateway = await start(urls=[url, url], breaker_failures=2)
        assert [status(await say(gateway.port, post())) for _ in range(10)] == [400] * 10


async def test_a_request_waits_for_a_place(start: Start) -> None:
    release = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> bool:
        await release.wait()
        writer.write(ONE)
        return True

    expert = RawExpert(answer)
    async with expert.serving() as url:
        gateway = await start(urls=[url, url], at_most=1, queue_at_most=1)
        waiting = [asyncio.ensure_future(say(gateway.port, post())) for _ in range(2)]
        await queued(gateway, 1)
        refused = await say(gateway.port, post())
        assert status(refused) == 429
        assert b"retry-after: 1\r\n" in refused
        assert len(expert.received) == 1
        release.set()
        assert [status(answer) for answer in await asyncio.gather(*waiting)] == [200, 200]
        assert await metric(gateway, "er_gateway_queued{") == 0


async def test_who_waits_for_an_expert_that_dies_goes_elsewhere(start: Start) -> None:
    dying = asyncio.Event()

    async def die(writer: asyncio.StreamWriter) -> bool:
        await dying.wait()
        writer.transport.abort()
        return False

    expert = RawExpert(die)
    async with expert.serving() as url, answering(ONE).serving() as other:
        limits = {"at_most": 1, "queue_at_most": 5, "retries": 1, "breaker_failures": 1}
        gateway = await start(urls=[url, other, other], policy=Policy.round_robin, **limits)
        first = asyncio.ensure_future(say(gateway.port, post()))
        await until(lambda: bool(expert.received))
        assert [status(await say(gateway.port, post())) for _ in range(2)] == [200] * 2
        last = asyncio.ensure_future(say(gateway.port, post()))  # for the one that dies, too
        await queued(gateway, 1)
        dying.set()
        assert [status(answer) for answer in await asyncio.gather(first, last)] == [200] * 2


async def test_who_leaves_the_queue_takes_no_place(start: Start) -> None:
    gateway = await start(Expert(endless), at_most=1, queue_at_most=5)
    async with gateway.ask("court") as one:
        reader, writer = await asyncio.open_connection(HOST, gateway.port)
        writer.write(post())
        await queued(gateway, 1)
        writer.close()
        await queued(gateway, 0)
        one.close()
    await gateway.is_idle()
    del reader


async def test_waiting_has_an_end(start: Start) -> None:
    gateway = await start(Expert(endless), at_most=1, queue_at_most=5, timeouts={"queue_s": 0.1})
    async with gateway.ask("court") as one, gateway.ask("court") as two:
        assert two.status == 429
        assert two.headers["retry-after"] == "1"
        one.close()


async def test_a_full_expert_spills_where_the_margin_is_small(start: Start) -> None:
    gateway = await start(Expert(endless), at_most=1, spill_margin=10.0)
    async with gateway.ask("court") as one, gateway.ask("court") as two:
        chosen = {one.headers["x-er-expert"], two.headers["x-er-expert"]}
        assert chosen == {"0", "1"}
        one.close()
        two.close()


async def test_replicas_share_a_clusters_prompts(start: Start) -> None:
    gateway = await start(Expert(endless))
    assert gateway.server
    for cluster in (0, 1):
        gateway.server.experts.add_replica(cluster, gateway.server.experts.clusters[cluster][0].url)
    async with gateway.ask("court") as one, gateway.ask("court") as two:
        loads = sorted(gateway.server.counts.row[slots.IN_FLIGHT + slot] for slot in range(4))
        assert loads == [0, 0, 1, 1]
        assert one.headers["x-er-expert"] == two.headers["x-er-expert"]
        one.close()
        two.close()


async def test_leaving_is_seen_at_once(start: Start) -> None:
    expert = Expert(endless)
    gateway = await start(expert)
    reader, writer = await asyncio.open_connection(HOST, gateway.port)
    writer.write(post())
    await reader.readuntil(b"\n\n")
    writer.close()
    turns = 0  # of the loop that all are on: however fast the machine is, these are as many
    while not expert.cancelled.is_set():
        await asyncio.sleep(0)
        turns += 1
        assert turns < 100


async def test_draining_lets_answers_end(start: Start) -> None:
    may_end = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> bool:
        writer.write(HEAD + chunk(event("one")))
        await may_end.wait()
        writer.write(chunk(event("two")) + END)
        return True

    async with RawExpert(answer).serving() as url:
        gateway = await start(urls=[url, url])
        assert gateway.server
        async with gateway.ask("court") as response:
            draining = asyncio.ensure_future(gateway.server.drain())
            await asyncio.sleep(0.1)
            assert not draining.done()
            may_end.set()
            assert await response.read() == event("one") + event("two")
        await asyncio.wait_for(draining, 60)


async def test_draining_has_an_end_that_is_reported(
    start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    gateway = await start(Expert(endless), timeouts={"drain_s": 0.2})
    assert gateway.server
    async with gateway.ask("court") as response:
        draining = asyncio.ensure_future(gateway.server.drain())
        got = await response.read()
    assert b'"error"' in got
    await draining
    assert capfd.readouterr().out == "er.gateway: draining 1 request, up to 0.2 s\n"


async def test_what_draining_cuts_is_no_failure_of_its_expert(start: Start) -> None:
    async def silent(_: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(60)
        return False

    async with RawExpert(silent).serving() as url:
        gateway = await start(urls=[url, url], timeouts={"drain_s": 0.01}, breaker_failures=1)
        assert gateway.server
        asking = asyncio.ensure_future(say(gateway.port, post()))
        await asyncio.sleep(0.05)
        await gateway.server.drain()
        got = await asking
    assert status(got) == 503
    assert b"the gateway stops" in got
    assert all(replica.usable for replica in gateway.server.experts.replicas)


async def test_too_many_connections_are_refused(start: Start) -> None:
    gateway = await start(urls=[DEAD, DEAD], limits={"connections": 3})
    held = [await asyncio.open_connection(HOST, gateway.port) for _ in range(3)]
    await asyncio.sleep(0.05)
    got = await say(gateway.port, b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n")
    assert status(got) == 503
    for _, writer in held:
        writer.close()


async def test_a_reason_is_reported_where_it_is_requested(start: Start) -> None:
    async with answering(ONE).serving() as url:
        gateway = await start(urls=[url, url])
        got = await say(gateway.port, post(b'{"text_input": "court butter"}', "x-er-explain: 1"))
        assert b"x-er-reason: " in got
        assert b"court=" in got
        assert b"x-er-margin: " in got
        assert b"x-er-router: 0123456789abcdef\r\n" in got
        assert b"x-er-reason" not in await say(gateway.port, post())
        for length in (20_000, 2_000_000):
            text = json.dumps({"text_input": "court butter court " + "x " * length}).encode()
            got = await say(gateway.port, post(text, "x-er-explain: 1"))
            assert re.search(rb"x-er-reason: court=[+]0\.\d{4}, butter=-0\.\d{4}\r\n", got)


@pytest.mark.parametrize("ahead", [post(), post()[:-1], post() * 50])
async def test_who_has_sent_ahead_is_seen_leaving_too(start: Start, ahead: bytes) -> None:
    requested = asyncio.Event()

    async def silent(_: asyncio.StreamWriter) -> bool:
        requested.set()
        await asyncio.sleep(60)
        return False

    async with RawExpert(silent).serving() as url:
        gateway = await start(urls=[url, url])
        assert gateway.server
        _, writer = await asyncio.open_connection(HOST, gateway.port)
        writer.write(post() + ahead)
        await requested.wait()
        await asyncio.sleep(0.05)
        writer.close()
        for _ in range(1000):  # 10 s, of 60 that the answer takes
            if not (gateway.server.clients or gateway.server.exchanges):
                break
            await asyncio.sleep(0.01)
        assert not gateway.server.clients
        await gateway.is_idle()
