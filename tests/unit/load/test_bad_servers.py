"""Faulty servers: each fault is an error of its request, with the cause."""

import asyncio
import os
import signal
import threading
from collections import Counter
from typing import Any

import pytest

from er.config import LoadClient
from er.errors import ErError
from er.load.users import run_point
from er.results.request import Endpoint, Request
from tests.unit.load.fakes import (
    HEAD,
    LAST_CHUNK,
    Serve,
    chunk,
    closed_port,
    event,
    load,
    one,
    prompt,
    stream,
)

Body = dict[str, Any]
Writer = asyncio.StreamWriter

pytestmark = pytest.mark.usefixtures("client")


async def error_event(_: Body, writer: Writer) -> None:
    writer.write(HEAD + chunk(event("t0 ")) + chunk(b'data: {"error": "no KV\\ncache"}\n\n'))
    writer.write(LAST_CHUNK)


async def http_500(_: Body, writer: Writer) -> None:
    body = b'{"error": "model is gone"}'
    writer.write(b"HTTP/1.1 500 Oops\r\ncontent-type: application/json\r\n")
    writer.write(b"content-length: %d\r\n\r\n" % len(body) + body)


async def http_429(_: Body, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 429 Slow down\r\nretry-after: 86400\r\ncontent-length: 0\r\n\r\n")


async def error_body(_: Body, writer: Writer) -> None:
    body = b'{"error": "no KV cache"}'
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
    writer.write(b"content-length: %d\r\n\r\n" % len(body) + body)


async def web_page(_: Body, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5\r\n\r\nhello")


async def broken_page(_: Body, writer: Writer) -> None:
    writer.write(HEAD.replace(b"event-stream", b"html"))
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.write(b"zz\r\n")
    await writer.drain()
    await asyncio.sleep(60)


async def reset(_: Body, writer: Writer) -> None:
    writer.write(HEAD + chunk(event("t0 ")))
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.transport.abort()


async def closed_early(_: Body, writer: Writer) -> None:
    writer.close()


async def half_event(_: Body, writer: Writer) -> None:
    writer.write(HEAD + chunk(event("t0 ")) + chunk(b'data: {"text_out') + LAST_CHUNK)


async def no_json(_: Body, writer: Writer) -> None:
    writer.write(HEAD + chunk(b"data: [DONE\n\n") + LAST_CHUNK)


async def no_tokens(_: Body, writer: Writer) -> None:
    writer.write(HEAD + LAST_CHUNK)


async def stall(_: Body, writer: Writer) -> None:
    writer.write(HEAD + chunk(event("t0 ")))
    await writer.drain()
    await asyncio.sleep(60)


@pytest.mark.parametrize(
    ("answer", "status", "error", "tokens"),
    [
        (error_event, 200, "server error: no KV cache", 1),
        (http_500, 500, "HTTP 500: model is gone", 0),
        (http_429, 429, "HTTP 429", 0),
        (
            error_body,
            200,
            "content type application/json is not an event stream: no KV cache",
            0,
        ),
        (web_page, 200, "content type text/html is not an event stream: hello", 0),
        (broken_page, 200, "broken chunks in the stream", 0),
        (reset, 200, "connection broke inside the stream", 1),
        (closed_early, 0, "connection closed before an answer", 0),
        (half_event, 200, "the stream ended inside an event", 1),
        (no_json, 200, "not JSON in an event: [DONE", 0),
        (no_tokens, 200, "no tokens", 0),
        (stall, 200, "timeout after 2 s", 1),
    ],
)
def test_a_fault_is_an_error_of_its_request(
    serve: Serve, answer: Any, status: int, error: str, tokens: int
) -> None:
    request = one(serve(answer).endpoint, request_timeout_s=2)
    assert not request.ok
    assert (request.status, request.error, request.output_tokens) == (status, error, tokens)
    assert request.end_s >= request.send_s > 0


def test_a_refused_connection_is_given_up_quickly() -> None:
    endpoint = Endpoint(f"http://127.0.0.1:{closed_port()}/x", "none")
    settings = load(requests_per_user=1000)
    point = run_point(endpoint, [prompt()], 4, settings, lambda _: None)
    assert {request.error for request in point.requests} == {"connection refused"}
    assert 4 <= len(point.requests) <= 8


def test_a_host_without_a_name_is_an_error() -> None:
    assert one(Endpoint("http://nowhere.invalid/x", "none")).error == "host name not found"


def test_a_server_that_refuses_above_some_connections(serve: Serve) -> None:
    taken: list[Writer] = []

    async def at_most_two(body: Body, writer: Writer) -> None:
        if len(taken) < 2:
            taken.append(writer)
        if writer in taken:
            await stream(body, writer)
        else:
            writer.transport.abort()

    server = serve(at_most_two)
    settings = load(requests_per_user=5, warmup_requests_per_user=0)
    point = run_point(server.endpoint, [prompt()], 4, settings, lambda _: None)
    causes = Counter(request.error for request in point.requests)
    refused = {"connection reset", "connection closed before an answer"}
    assert causes[""] >= 5
    assert set(causes) - {""} <= refused
    assert len(causes) > 1


def test_errors_at_status_200_are_given_up_quickly_too(serve: Serve) -> None:
    async def always(_: Body, writer: Writer) -> None:
        writer.write(HEAD + chunk(b'data: {"error": "no"}\n\n') + LAST_CHUNK)

    settings = load(requests_per_user=1000)
    point = run_point(serve(always).endpoint, [prompt()], 4, settings, lambda _: None)
    assert {request.error for request in point.requests} == {"server error: no"}
    assert 4 <= len(point.requests) <= 8


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: many\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        HEAD + b"zzz\r\n",
    ],
)
def test_an_answer_that_is_not_http_is_an_error(serve: Serve, head: bytes) -> None:
    async def junk(_: Body, writer: Writer) -> None:
        writer.write(head)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()

    assert one(serve(junk).endpoint).error


async def no_content(_: Body, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")


def test_an_answer_without_content_is_an_error(serve: Serve) -> None:
    assert one(serve(no_content).endpoint, request_timeout_s=2).error == "HTTP 204"


def test_plain_http_where_tls_is_wanted(serve: Serve, client: LoadClient) -> None:
    url = serve(stream).endpoint.url.replace("http://", "https://")
    if client is LoadClient.aiohttp:
        assert one(Endpoint(url, "fake")).error == "TLS failed"
    else:
        with pytest.raises(ErError, match=r"choose load\.client=aiohttp"):
            one(Endpoint(url, "fake"))


def test_one_failure_does_not_end_the_others(serve: Serve) -> None:
    async def sometimes(body: Body, writer: Writer) -> None:
        await (http_500 if body["text_input"] == "bad" else stream)(body, writer)

    server = serve(sometimes)
    prompts = [prompt("good"), prompt("bad")]
    point = run_point(server.endpoint, prompts, 2, load(requests_per_user=10), lambda _: None)
    measured = [request for request in point.requests if request.measured]
    assert Counter(request.error for request in measured) == {"": 10, "HTTP 500: model is gone": 10}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_was_completed(serve: Serve, number: signal.Signals) -> None:
    async def slow_after_five(body: Body, writer: Writer) -> None:
        await (stall if body["text_input"] == "slow" else stream)(body, writer)

    class StoppedError(Exception):
        pass

    def handler(*_: object) -> None:
        raise StoppedError

    prompts = [prompt(f"quick {n}") for n in range(5)] + [prompt("slow")]
    seen: list[Request] = []
    before = signal.signal(number, handler)

    def on_request(request: Request) -> None:
        seen.append(request)
        if len(seen) == 5:
            threading.Timer(0.1, os.kill, (os.getpid(), number)).start()

    settings = load(requests_per_user=6, warmup_requests_per_user=0, request_timeout_s=60)
    try:
        with pytest.raises(StoppedError):
            run_point(serve(slow_after_five).endpoint, prompts, 1, settings, on_request)
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)
    assert [request.text for request in seen] == ["t0 t1 t2 "] * 5


async def refused_as_event(_: Body, writer: Writer) -> None:
    body = b'data: {"error": "too long"}\n\n'
    writer.write(b"HTTP/1.1 400 No\r\ncontent-type: text/event-stream\r\n")
    writer.write(b"content-length: %d\r\n\r\n" % len(body) + body)


def test_a_refusal_may_come_as_an_event(serve: Serve) -> None:
    assert one(serve(refused_as_event).endpoint).error == "HTTP 400: too long"
