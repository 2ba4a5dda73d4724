"""What a client sees of an expert behind the gateway."""

import asyncio
import json
import socket

import pytest
from aiohttp import web

from er.config import Policy
from er.gateway.simple.relay import EXPERT_HEADER, POLICY_HEADER
from er.routing.router import Router
from tests.unit.gateway.conftest import HOST, TOPICS, Expert, Start, event


@pytest.fixture(params=["fast", "aiohttp"])
def kind(request: pytest.FixtureRequest) -> str:
    """Every promise here is kept by both."""
    return str(request.param)


async def three_tokens(_: web.Request, response: web.StreamResponse) -> None:
    for text in ("Ja", "wohl", " é😀"):
        await response.write(event(text))


async def error_body(_: web.Request, response: web.StreamResponse) -> None:
    await response.write(b'data: {"error": "out of KV cache"}\n\n')


async def reset_within_an_event(request: web.Request, response: web.StreamResponse) -> None:
    await response.write(event("one") + b'data: {"text')
    assert request.transport is not None
    request.transport.abort()


async def endless(_: web.Request, response: web.StreamResponse) -> None:
    while True:
        await response.write(event("more"))
        await asyncio.sleep(0.01)


async def test_tokens_arrive_unchanged_and_in_order(start: Start, router: Router) -> None:
    expert = Expert(three_tokens)
    gateway = await start(expert)
    for text in TOPICS.values():
        async with gateway.ask(text, temperature=0.5) as response:
            assert response.status == 200
            assert response.content_type == "text/event-stream"
            assert response.headers[EXPERT_HEADER] == str(router.classify(text))
            assert await response.read() == event("Ja") + event("wohl") + event(" é😀")
        body = {"text_input": text, "max_tokens": 3, "stream": True, "temperature": 0.5}
        assert json.loads(expert.received[-1]) == body


async def test_topics_go_to_experts_of_their_own(start: Start) -> None:
    gateway = await start(Expert(three_tokens))
    chosen = set()
    for text in TOPICS.values():
        async with gateway.ask(text) as response:
            chosen.add(response.headers[EXPERT_HEADER])
    assert chosen == {"0", "1"}


async def test_least_loaded_avoids_the_expert_that_is_busy(start: Start) -> None:
    gateway = await start(Expert(endless), policy=Policy.least_loaded)
    async with gateway.ask("court") as one, gateway.ask("court") as two:
        assert [answer.headers[EXPERT_HEADER] for answer in (one, two)] == ["0", "1"]
        assert one.headers[POLICY_HEADER] == "least_loaded"
        two.close()
        await gateway.is_idle(expert="1")
        async with gateway.ask("court") as three:
            assert three.headers[EXPERT_HEADER] == "1"
            three.close()
        one.close()
    await gateway.is_idle()


async def test_a_token_does_not_wait_for_the_next(start: Start) -> None:
    may_go_on = asyncio.Event()

    async def hesitant(_: web.Request, response: web.StreamResponse) -> None:
        await response.write(event("first"))
        await may_go_on.wait()
        await response.write(event("second"))

    gateway = await start(Expert(hesitant))
    async with gateway.ask("court") as response:
        assert await response.content.readuntil(b"\n\n") == event("first")
        may_go_on.set()
        assert await response.content.read() == event("second")


async def test_an_error_event_of_the_expert_is_passed_on(start: Start) -> None:
    gateway = await start(Expert(error_body))
    async with gateway.ask("court") as response:
        assert response.status == 200
        assert await response.read() == b'data: {"error": "out of KV cache"}\n\n'


async def test_an_expert_that_breaks_off_ends_with_an_error_event(start: Start) -> None:
    gateway = await start(Expert(reset_within_an_event))
    async with gateway.ask("court") as response:
        events = (await response.read()).split(b"\n\n")
        expert = response.headers[EXPERT_HEADER]
    assert events[0] + b"\n\n" == event("one")
    message = json.loads(events[2].removeprefix(b"data: "))
    assert message == {"error": f"expert {expert} broke off its stream"}
    assert events[3:] == [b""]
    assert 'errors_total{cause="broken_stream"} 1' in (await gateway.get("/metrics"))[1]


async def test_an_expert_that_cannot_be_reached_is_503(start: Start) -> None:
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        port = unused.getsockname()[1]
        gateway = await start(urls=[f"http://{HOST}:{port}/generate_stream"] * 2)
        async with gateway.ask("court") as response:
            assert response.status == 503
            assert "cannot be reached" in (await response.json())["error"]


async def test_an_expert_that_hangs_up_before_answering_is_502(start: Start) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        gateway = await start(urls=[f"http://{HOST}:{port}/generate_stream"] * 2)
        async with gateway.ask("court") as response:
            assert response.status == 502
            assert "did not answer" in (await response.json())["error"]


async def test_a_status_of_the_expert_is_passed_on(start: Start) -> None:
    gateway = await start(Expert(three_tokens))
    wrong = await start(urls=[f"http://{HOST}:{gateway.port}/no/such/model"] * 2)
    async with wrong.ask("court") as response:
        assert response.status == 404
        assert response.headers[EXPERT_HEADER] in {"0", "1"}


async def test_a_client_that_leaves_ends_the_request_to_the_expert(start: Start) -> None:
    expert = Expert(endless)
    gateway = await start(expert)
    async with gateway.ask("court") as response:
        await response.content.readany()
        response.close()
    await asyncio.wait_for(expert.cancelled.wait(), 60)
    await gateway.is_idle()


async def test_a_client_that_leaves_before_the_first_token_too(start: Start) -> None:
    received = asyncio.Event()

    async def silent(*_: object) -> None:
        received.set()
        await asyncio.sleep(60)

    expert = Expert(silent)
    gateway = await start(expert)
    body = {"text_input": "court"}
    path = "/v2/models/ensemble/generate_stream"
    asking = asyncio.ensure_future(gateway.client.post(path, json=body))
    await asyncio.wait_for(received.wait(), 60)
    asking.cancel()
    await asyncio.wait_for(expert.cancelled.wait(), 60)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the body is not JSON"),
        (b"[1]", "text_input is missing"),
        (b'{"text_input": 3}', "text_input is missing or is not a string"),
        (b'{"prompt": "court"}', "text_input is missing"),
    ],
)
async def test_a_body_without_a_prompt_is_400(start: Start, body: bytes, message: str) -> None:
    expert = Expert(three_tokens)
    gateway = await start(expert)
    async with gateway.client.post("/v2/models/ensemble/generate_stream", data=body) as response:
        assert response.status == 400
        assert message in (await response.json())["error"]
    assert expert.received == []


async def test_a_prompt_of_a_megabyte_passes(start: Start) -> None:
    expert = Expert(three_tokens)
    gateway = await start(expert)
    async with gateway.ask("court " * 200_000) as response:
        assert response.status == 200
    assert len(expert.received[0]) > 1_200_000


async def test_requests_beyond_the_bound_are_429(start: Start) -> None:
    gateway = await start(Expert(endless), at_most=2, queue_at_most=0)
    async with gateway.ask("court") as one, gateway.ask("court") as two:
        assert one.status == two.status == 200
        async with gateway.ask("court") as three:
            assert three.status == 429
        one.close()
        two.close()
    await gateway.is_idle()
    async with gateway.ask("court") as again:
        assert again.status == 200
        again.close()
