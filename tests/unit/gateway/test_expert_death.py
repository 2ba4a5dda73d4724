"""An expert dies: no client is left without an answer, an error event or a status."""

import asyncio
import gc
import json
from typing import Any

import pytest

from benchmarks.gateway_experts import Reply
from er.config import Policy
from er.gateway.fast import probe
from er.gateway.fast.answer import Answer
from er.gateway.fast.client import Client
from er.gateway.fast.exchange import Exchange
from er.gateway.fast.reading import Reader
from er.gateway.fast.replica import Replica
from er.gateway.fast.request import Request
from tests.standins.waiting import until
from tests.unit.gateway.conftest import HOST, Start, event
from tests.unit.gateway.raw import END, HEAD, RawExpert, chunk, post

REQUESTS = 64  # their ids, the last bytes of a head, end with every hexadecimal digit
CHAT = json.dumps({"messages": [{"role": "user", "content": "court"}], "stream": True}).encode()
CLIENTS = {
    "triton": ("/v2/models/ensemble/generate_stream", b'{"text_input": "court"}'),
    "chat": ("/v1/chat/completions", CHAT),
    "completions": ("/v1/completions", b'{"prompt": "court", "stream": true}'),
}
OPENAI_EVENT = b'data: {"choices": [{"index": 0, "text": "one", "delta": {"content": "one"}}]}\n\n'
EXPERTS = {"generate_stream": event("one"), "v1": OPENAI_EVENT}


async def fetch(port: int, path: str, body: bytes) -> Reply:
    """An answer, whole or as far as it has come."""
    reply = Reply()
    reader, writer = await asyncio.open_connection(HOST, port)
    async with asyncio.timeout(60):
        writer.write(post(body, path=path))
        while not reply.complete and (data := await reader.read(65536)):
            reply.feed(data)
    writer.close()
    return reply


async def hang_up(writer: asyncio.StreamWriter) -> bool:
    """An expert that never answers."""
    writer.transport.abort()
    return False


@pytest.mark.parametrize("dialect", EXPERTS)
@pytest.mark.parametrize("client", CLIENTS)
async def test_a_retried_request_whose_expert_dies_too_gets_an_error_event(
    start: Start, client: str, dialect: str
) -> None:
    dying = asyncio.Event()
    begun = 0

    async def die_later(writer: asyncio.StreamWriter) -> bool:
        nonlocal begun
        writer.write(HEAD)  # alone: tokens follow when clients have got it
        await asyncio.sleep(0.1)
        writer.write(chunk(EXPERTS[dialect]))
        begun += 1
        await dying.wait()
        writer.transport.abort()
        return False

    expert = RawExpert(die_later)

    def all_have_begun() -> bool:
        prompts = [got for got in expert.received if got.startswith(b"POST")]  # not its models
        return len(prompts) == REQUESTS and begun == len(expert.received)

    async with RawExpert(hang_up).serving() as one, expert.serving() as other:
        urls = [url.replace("generate_stream", dialect) for url in (one, other)]
        gateway = await start(urls=urls, policy=Policy.round_robin, retries=2)
        path, body = CLIENTS[client]
        asking = [asyncio.ensure_future(fetch(gateway.port, path, body)) for _ in range(REQUESTS)]
        await until(all_have_begun)
        dying.set()
        replies = await asyncio.gather(*asking)
    for reply in replies:
        assert reply.status == 200
        assert reply.complete
        *_, last = bytes(reply.content).strip().split(b"\n\n")
        assert b"one" in reply.content
        problem: Any = json.loads(last.removeprefix(b"data: "))["error"]
        message = problem if client == "triton" else problem["message"]
        assert message == "expert 1 broke off its stream"


@pytest.mark.parametrize(
    ("head", "content", "right"),
    [
        (b"content-length: 20\r\n\r\n", b'{"error": "no model"}', "an error in its answer"),
        (b"x-id: 30\r\n\r\n", b'{"error": "no model"}', "an error in its answer"),
        (
            b"transfer-encoding: chunked\r\nx-id: 40\r\n\r\n",
            chunk(b'data: {"error": "no model"}') + b"0\r\n\r\n",
            "an error in its answer",
        ),
        (b"transfer-encoding: chunked\r\n\r\n", b"5\r\n", "cannot be reached (EOFError)"),
        (b"content-length: 20\r\n\r\n", b"data", "cannot be reached (IncompleteReadError)"),
        (b"content-length: 0\r\n\r\n", b"", "no text_output in its answer"),
        (b"x-id: 50\r\n\r\n", OPENAI_EVENT, "no text_output in its answer"),
        (b"x-id: 60\r\n\r\n", event("a"), ""),
    ],
)  # fmt: skip
async def test_a_probe_reads_the_answer_that_follows_a_head(
    head: bytes, content: bytes, right: str
) -> None:
    async def answer(writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\n" + head)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(content)
        return False

    async with RawExpert(answer).serving() as url:
        assert await probe.infer(Replica(0, 0, url), 60.0) == right


async def die_within(writer: asyncio.StreamWriter) -> bool:
    """An expert that answers half."""
    writer.write(HEAD + chunk(event("one")))
    await writer.drain()
    await asyncio.sleep(0.01)
    writer.transport.abort()
    return False


async def answer_all(writer: asyncio.StreamWriter) -> bool:
    """An expert that lives."""
    writer.write(HEAD + chunk(event("one")) + END)
    return True


@pytest.mark.parametrize(
    ("answer", "client", "right"),
    [
        (answer_all, "triton", 200), (answer_all, "chat", 200), (die_within, "triton", 200),
        (die_within, "chat", 200), (hang_up, "triton", 502), (None, "triton", 503),
    ],
)  # fmt: skip
async def test_requests_are_freed_without_a_collection(
    start: Start, answer: Any, client: str, right: int
) -> None:
    """What keeps each other until a collection is memory that grows under load."""
    async with RawExpert(answer or hang_up).serving() as url:
        urls = [url] * 2 if answer else [f"http://{HOST}:1/generate_stream"] * 2
        gateway = await start(urls=urls, policy=Policy.round_robin, breaker_failures=99)
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                assert (await fetch(gateway.port, *CLIENTS[client])).status == right
            kinds = (Answer, Client, Exchange, Reader, Request)

            def all_are_freed() -> bool:  # but those of the last request
                return sum(isinstance(found, kinds) for found in gc.get_objects()) <= len(kinds)

            await until(all_are_freed)
        finally:
            gc.enable()
