"""What users send and what is recorded, against servers without faults."""

import asyncio
import itertools
import time
from collections import Counter
from typing import Any

import pytest

from er.config import Arrivals
from er.errors import ErError
from er.load.arrivals import count_requests
from er.load.users import run_point
from er.results.request import Endpoint, Request
from tests.unit.load.fakes import HEAD, LAST_CHUNK, Serve, chunk, event, load, one, prompt, stream

Body = dict[str, Any]
Writer = asyncio.StreamWriter

pytestmark = pytest.mark.usefixtures("client")


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
    assert server.bodies == [{"text_input": "Hello", "max_tokens": 3, "stream": True, "end_id": -1}]


@pytest.mark.parametrize(("users", "at_least", "measured"), [(1, 1, 2), (3, 1, 6), (3, 11, 11)])
def test_exactly_the_wanted_requests(
    serve: Serve, users: int, at_least: int, measured: int
) -> None:
    server = serve(stream)
    seen: list[Request] = []
    settings = load(requests_at_least=at_least)
    prompts = [prompt(f"prompt {number}") for number in range(measured)]
    point = run_point(server.endpoint, prompts, users, settings, seen.append)
    assert count_requests(users, settings) == measured
    assert seen == point.requests
    good = [request for request in point.requests if request.measured]
    warmup = Counter(request.user for request in point.requests if request.warmup)
    assert len(good) == measured
    assert warmup == dict.fromkeys(range(users), 1)
    unmeasured = sum(request.cooldown for request in seen)
    assert len(seen) == measured + users + unmeasured
    assert sorted(request.index for request in seen) == list(range(len(seen)))
    assert 0 <= unmeasured < 5 * users
    assert all(request.concurrency == users and request.ok for request in seen)
    assert point.loop_lags_s
    texts = Counter(body["text_input"] for body in server.bodies)
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


async def all_in_pieces(body: Body, writer: Writer) -> None:
    events = b"".join(event(f"t{token} ") for token in range(body["max_tokens"]))
    writer.write(HEAD)
    for start in range(0, len(events), 10):
        writer.write(chunk(events[start : start + 10]))
        await writer.drain()
        await asyncio.sleep(0.001)
    writer.write(LAST_CHUNK)


async def all_at_once(body: Body, writer: Writer) -> None:
    events = b"".join(event(f"t{token} ") for token in range(body["max_tokens"]))
    writer.write(HEAD + chunk(events) + LAST_CHUNK)


@pytest.mark.parametrize("answer", [all_in_pieces, all_at_once])
def test_tokens_do_not_depend_on_chunks(serve: Serve, answer: Any) -> None:
    request = one(serve(answer).endpoint)
    assert request.ok
    assert request.text == "t0 t1 t2 "
    assert request.output_tokens == 3


async def lateness(_: Body, writer: Writer) -> None:
    last = event("b", token_lateness=[0.0, 0.25])
    writer.write(HEAD + chunk(event("a")) + chunk(last) + LAST_CHUNK)


def test_the_engines_lateness_is_kept(serve: Serve) -> None:
    assert one(serve(lateness).endpoint).token_lateness == [0.0, 0.25]


def test_a_host_of_several_addresses_is_reached(serve: Serve) -> None:
    url = serve(stream).endpoint.url.replace("127.0.0.1", "localhost")
    assert one(Endpoint(url, "fake")).ok


def test_a_connection_that_the_server_ended_after_an_answer_is_no_error(serve: Serve) -> None:
    async def once(body: Body, writer: Writer) -> None:
        await stream(body, writer)  # and says nothing of an end
        await writer.drain()
        writer.close()

    point = run_point(serve(once).endpoint, [prompt()], 3, load(), lambda _: None)
    assert {request.error for request in point.requests} == {""}
    assert sum(request.measured for request in point.requests) == 6


def test_a_fault_of_the_caller_is_raised_as_it_is(serve: Serve) -> None:
    def on_request(_: Request) -> None:
        raise ErError("the disk is full")

    with pytest.raises(ErError, match="the disk is full"):
        run_point(serve(stream).endpoint, [prompt()], 3, load(), on_request)


def test_no_prompts_is_an_error() -> None:
    with pytest.raises(ErError, match="no prompts to send"):
        run_point(Endpoint("http://127.0.0.1:1/x", "none"), [], 1, load(), lambda _: None)


async def lateness_of_one(_: Body, writer: Writer) -> None:
    writer.write(HEAD + chunk(event("a", token_lateness=0.5)) + LAST_CHUNK)


def test_a_lateness_that_is_one_number_is_a_list(serve: Serve) -> None:
    assert one(serve(lateness_of_one).endpoint).token_lateness == [0.5]


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
    async def once_all_are_there(body: Body, writer: Writer) -> None:
        while server.most_in_flight < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await stream(body, writer)

    server = serve(once_all_are_there)
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
    settings = load(duration_s=0.6, requests_per_user=0)
    answers = [prompt(output_tokens=20)]
    began_s = time.monotonic()
    point = run_point(serve(stream).endpoint, answers, 2, settings, lambda _: None)
    starts_s = [request.send_s for request in point.requests if not request.cooldown]
    assert 10 > max(starts_s) - began_s > 0.1  # until the process is held up in its last moment
    last_s = max(request.end_s for request in point.requests if request.measured)
    assert all(request.send_s < last_s + 5 for request in point.requests)
    assert all(request.ok and request.output_tokens == 20 for request in point.requests)
