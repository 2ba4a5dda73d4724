"""The closed loop against servers of good and bad manners."""

import asyncio
import itertools
import os
import signal
import socket
import threading
import time
from collections import Counter
from typing import Any

import pytest

from er.config import Arrivals, LoadClient
from er.errors import ErError
from er.load.arrivals import requests_of
from er.load.users import run_point
from er.results import Endpoint, Request
from tests.unit.load import fakes
from tests.unit.load.fakes import HEAD, LAST_CHUNK, Serve, chunk, event, load, prompt, stream

Asked = dict[str, Any]
Writer = asyncio.StreamWriter


@pytest.fixture(params=[LoadClient.aiohttp, LoadClient.sockets], autouse=True)
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> LoadClient:
    """Every test drives either client of HTTP: they have one behaviour."""
    monkeypatch.setitem(fakes.LOAD, "client", request.param)
    chosen: LoadClient = request.param
    return chosen


def one(endpoint: Endpoint, **changes: Any) -> Request:
    """The only request of a point of one user."""
    few = {"requests_per_user": 1, "warmup_requests_per_user": 0}
    point = run_point(endpoint, [prompt()], 1, load(**(few | changes)), lambda _: None)
    return point.requests[0]


def test_a_request_holds_what_was_seen(serve: Serve) -> None:
    server = serve(stream)
    before_s = time.monotonic()
    request = one(server.endpoint)
    assert request.ok
    assert (request.status, request.error, request.expert) == (200, "", 3)
    assert request.text == "t0 t1 t2 "
    assert request.output_tokens == 3
    times = [before_s, request.send_s, *request.token_times_s, request.end_s, time.monotonic()]
    assert times == sorted(times)
    assert (request.topic, request.input_tokens, request.max_tokens) == ("greetings", 1, 3)
    assert server.asked == [{"text_input": "Hello", "max_tokens": 3, "stream": True}]


@pytest.mark.parametrize(("users", "at_least", "measured"), [(1, 1, 2), (3, 1, 6), (3, 11, 11)])
def test_exactly_the_wanted_requests(
    serve: Serve, users: int, at_least: int, measured: int
) -> None:
    server = serve(stream)
    seen: list[Request] = []
    settings = load(requests_at_least=at_least)
    prompts = [prompt(f"prompt {number}") for number in range(measured)]
    point = run_point(server.endpoint, prompts, users, settings, seen.append)
    assert requests_of(users, settings) == measured
    assert seen == point.requests
    good = [request for request in point.requests if not request.warmup]
    warmup = Counter(request.user for request in point.requests if request.warmup)
    assert len(good) == measured
    assert warmup == dict.fromkeys(range(users), 1)
    assert sorted(request.index for request in seen) == list(range(measured + users))
    assert all(request.concurrency == users and request.ok for request in seen)
    assert point.loop_lags_s
    texts = Counter(asked["text_input"] for asked in server.asked)
    assert set(texts) == {p.text for p in prompts}


def test_never_more_in_flight_than_users_and_all_of_them(serve: Serve) -> None:
    server = serve(stream)
    settings = load(requests_per_user=5)
    point = run_point(server.endpoint, [prompt(output_tokens=10)], 8, settings, lambda _: None)
    assert server.most_in_flight == 8
    assert server.connections == 8
    for user in range(8):
        spans = [(r.send_s, r.end_s) for r in point.requests if r.user == user]
        assert all(end <= send for (_, end), (send, _) in itertools.pairwise(spans))


async def all_in_pieces(asked: Asked, writer: Writer) -> None:
    body = b"".join(event(f"t{token} ") for token in range(asked["max_tokens"]))
    writer.write(HEAD)
    for start in range(0, len(body), 10):
        writer.write(chunk(body[start : start + 10]))
        await writer.drain()
        await asyncio.sleep(0.001)
    writer.write(LAST_CHUNK)


async def all_at_once(asked: Asked, writer: Writer) -> None:
    body = b"".join(event(f"t{token} ") for token in range(asked["max_tokens"]))
    writer.write(HEAD + chunk(body) + LAST_CHUNK)


@pytest.mark.parametrize("answer", [all_in_pieces, all_at_once])
def test_tokens_do_not_depend_on_chunks(serve: Serve, answer: Any) -> None:
    request = one(serve(answer).endpoint)
    assert request.ok
    assert request.text == "t0 t1 t2 "
    assert request.output_tokens == 3


async def lateness(_: Asked, writer: Writer) -> None:
    last = event("b", token_lateness=[0.0, 0.25])
    writer.write(HEAD + chunk(event("a")) + chunk(last) + LAST_CHUNK)


def test_the_engines_lateness_is_kept(serve: Serve) -> None:
    assert one(serve(lateness).endpoint).token_lateness == [0.0, 0.25]


async def error_event(_: Asked, writer: Writer) -> None:
    writer.write(HEAD + chunk(event("t0 ")) + chunk(b'data: {"error": "no KV\\ncache"}\n\n'))
    writer.write(LAST_CHUNK)


async def http_500(_: Asked, writer: Writer) -> None:
    body = b'{"error": "model is gone"}'
    writer.write(b"HTTP/1.1 500 Oops\r\ncontent-type: application/json\r\n")
    writer.write(b"content-length: %d\r\n\r\n" % len(body) + body)


async def http_429(_: Asked, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 429 Slow down\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n")


async def error_body(_: Asked, writer: Writer) -> None:
    body = b'{"error": "no KV cache"}'
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
    writer.write(b"content-length: %d\r\n\r\n" % len(body) + body)


async def web_page(_: Asked, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5\r\n\r\nhello")


async def reset(_: Asked, writer: Writer) -> None:
    writer.write(HEAD + chunk(event("t0 ")))
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.transport.abort()


async def closed_early(_: Asked, writer: Writer) -> None:
    writer.close()


async def half_event(_: Asked, writer: Writer) -> None:
    writer.write(HEAD + chunk(event("t0 ")) + chunk(b'data: {"text_out') + LAST_CHUNK)


async def no_json(_: Asked, writer: Writer) -> None:
    writer.write(HEAD + chunk(b"data: [DONE\n\n") + LAST_CHUNK)


async def no_tokens(_: Asked, writer: Writer) -> None:
    writer.write(HEAD + LAST_CHUNK)


async def stall(_: Asked, writer: Writer) -> None:
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
            "content type application/json is no event stream: no KV cache",
            0,
        ),
        (web_page, 200, "content type text/html is no event stream: hello", 0),
        (reset, 200, "connection broke inside the stream", 1),
        (closed_early, 0, "connection closed before an answer", 0),
        (half_event, 200, "the stream ended inside an event", 1),
        (no_json, 200, "not JSON in an event: [DONE", 0),
        (no_tokens, 200, "no tokens", 0),
        (stall, 200, "timeout after 1 s", 1),
    ],
)
def test_a_fault_is_an_error_of_its_request(
    serve: Serve, answer: Any, status: int, error: str, tokens: int
) -> None:
    request = one(serve(answer).endpoint, request_timeout_s=1)
    assert not request.ok
    assert (request.status, request.error, request.output_tokens) == (status, error, tokens)
    assert request.end_s >= request.send_s > 0


def closed_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
    return port


def test_a_refused_connection_is_given_up_quickly() -> None:
    endpoint = Endpoint(f"http://127.0.0.1:{closed_port()}/x", "none")
    settings = load(requests_per_user=1000)
    point = run_point(endpoint, [prompt()], 4, settings, lambda _: None)
    assert {request.error for request in point.requests} == {"connection refused"}
    assert 4 <= len(point.requests) <= 8


def test_a_host_without_a_name_is_an_error() -> None:
    assert one(Endpoint("http://nowhere.invalid/x", "none")).error == "host name not found"


def test_a_host_of_several_addresses_is_reached(serve: Serve) -> None:
    url = serve(stream).endpoint.url.replace("127.0.0.1", "localhost")
    assert one(Endpoint(url, "fake")).ok


def test_a_connection_that_the_server_ended_after_an_answer_is_no_error(serve: Serve) -> None:
    async def once(asked: Asked, writer: Writer) -> None:
        await stream(asked, writer)  # and says nothing of an end
        await writer.drain()
        writer.close()

    point = run_point(serve(once).endpoint, [prompt()], 3, load(), lambda _: None)
    assert {request.error for request in point.requests} == {""}
    assert len(point.requests) == 9


def test_a_server_that_refuses_above_some_connections(serve: Serve) -> None:
    taken: list[Writer] = []

    async def at_most_two(asked: Asked, writer: Writer) -> None:
        if len(taken) < 2:
            taken.append(writer)
        if writer in taken:
            await stream(asked, writer)
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
    async def always(_: Asked, writer: Writer) -> None:
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
def test_what_is_no_http_is_an_error(serve: Serve, head: bytes) -> None:
    async def junk(_: Asked, writer: Writer) -> None:
        writer.write(head)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()

    assert one(serve(junk).endpoint).error


async def no_content(_: Asked, writer: Writer) -> None:
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
    async def sometimes(asked: Asked, writer: Writer) -> None:
        await (http_500 if asked["text_input"] == "bad" else stream)(asked, writer)

    server = serve(sometimes)
    prompts = [prompt("good"), prompt("bad")]
    point = run_point(server.endpoint, prompts, 2, load(requests_per_user=10), lambda _: None)
    measured = [request for request in point.requests if not request.warmup]
    assert Counter(request.error for request in measured) == {"": 10, "HTTP 500: model is gone": 10}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_was_completed(serve: Serve, number: signal.Signals) -> None:
    async def slow_after_five(asked: Asked, writer: Writer) -> None:
        await (stall if asked["text_input"] == "slow" else stream)(asked, writer)

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


def test_a_fault_of_the_caller_is_raised_as_it_is(serve: Serve) -> None:
    def on_request(_: Request) -> None:
        raise ErError("the disk is full")

    with pytest.raises(ErError, match="the disk is full"):
        run_point(serve(stream).endpoint, [prompt()], 3, load(), on_request)


def test_no_prompts_is_an_error() -> None:
    with pytest.raises(ErError, match="no prompts to send"):
        run_point(Endpoint("http://127.0.0.1:1/x", "none"), [], 1, load(), lambda _: None)


async def lateness_of_one(_: Asked, writer: Writer) -> None:
    writer.write(HEAD + chunk(event("a", token_lateness=0.5)) + LAST_CHUNK)


def test_a_lateness_that_is_one_number_is_a_list(serve: Serve) -> None:
    assert one(serve(lateness_of_one).endpoint).token_lateness == [0.5]


async def refused_as_event(_: Asked, writer: Writer) -> None:
    body = b'data: {"error": "too long"}\n\n'
    writer.write(b"HTTP/1.1 400 No\r\ncontent-type: text/event-stream\r\n")
    writer.write(b"content-length: %d\r\n\r\n" % len(body) + body)


def test_a_refusal_may_come_as_an_event(serve: Serve) -> None:
    assert one(serve(refused_as_event).endpoint).error == "HTTP 400: too long"


def test_an_open_loop_does_not_wait_for_answers(serve: Serve) -> None:
    server = serve(stream)
    settings = load(
        arrivals=Arrivals.open_loop,
        user_rate_per_s=200.0,
        requests_per_user=20,
        warmup_requests_per_user=0,
    )
    point = run_point(server.endpoint, [prompt(output_tokens=50)], 1, settings, lambda _: None)
    assert len(point.requests) == 20
    assert all(request.ok for request in point.requests)
    assert server.most_in_flight > 5
    assert all(r.send_s >= r.intended_s > 0 for r in point.requests)
    assert not point.busy


def test_a_burst_is_sent_at_once(serve: Serve) -> None:
    server = serve(stream)
    settings = load(arrivals=Arrivals.burst, burst_every_s=0.2, warmup_requests_per_user=0)
    point = run_point(server.endpoint, [prompt()], 5, settings, lambda _: None)
    assert server.most_in_flight == 5
    assert len({r.intended_s for r in point.requests}) == 2


def test_a_thinking_user_pauses(serve: Serve) -> None:
    settings = load(think_time_s=0.1, requests_per_user=3, warmup_requests_per_user=0)
    point = run_point(serve(stream).endpoint, [prompt()], 1, settings, lambda _: None)
    for request, later in itertools.pairwise(point.requests):
        assert later.send_s - request.end_s >= 0.1
        assert later.intended_s == pytest.approx(request.end_s + 0.1)


def test_after_the_duration_nothing_begins_and_what_is_in_flight_ends(serve: Serve) -> None:
    settings = load(duration_s=0.3, requests_per_user=0)
    answers = [prompt(output_tokens=60)]
    began_s = time.monotonic()
    point = run_point(serve(stream).endpoint, answers, 2, settings, lambda _: None)
    starts_s = [request.send_s for request in point.requests]
    assert min(starts_s) - began_s + 0.3 > max(starts_s) - min(starts_s) > 0.1
    assert all(request.ok and request.output_tokens == 60 for request in point.requests)
