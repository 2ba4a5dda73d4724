"""The table of answers, good and bad, through both clients of HTTP."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from er.results.request import Request
from er.results.words import CUT_OFF
from tests.unit.load.answers import BAD, GOOD, OPEN_HEAD, PATHS, TOKENS, Dialect, chunked, sse
from tests.unit.load.fakes import Serve, one

pytestmark = pytest.mark.usefixtures("client")


def request_of(serve: Serve, dialect: str, answer: bytes, pieces: int = 1) -> Request:
    async def write(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        size = -(-len(answer) // pieces) or 1
        for at in range(0, len(answer), size):
            writer.write(answer[at : at + size])
            await writer.drain()
            await asyncio.sleep(0.002 if pieces > 1 else 0)
        writer.close()

    endpoint = serve(write).endpoint
    url = endpoint.url.replace(PATHS["triton"], PATHS[dialect])
    return one(replace(endpoint, url=url), request_timeout_s=5)


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("name", GOOD)
def test_a_valid_answer_succeeds(serve: Serve, dialect: str, name: str) -> None:
    answer = GOOD[name](Dialect(dialect))
    request = request_of(serve, dialect, answer, 1 + 6 * (name == "CRLF cut in two"))
    assert (request.error, request.output_tokens, request.ok) == ("", TOKENS, True)
    assert request.text == "t " * TOKENS


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("name", BAD)
def test_a_bad_answer_fails_with_its_cause(serve: Serve, dialect: str, name: str) -> None:
    make, error = BAD[name]
    request = request_of(serve, dialect, make(Dialect(dialect)))
    assert request.error
    assert error in request.error
    assert not request.ok


@pytest.mark.parametrize("dialect", ["chat", "completions"])
def test_fewer_tokens_with_an_end_are_an_answer(serve: Serve, dialect: str) -> None:
    d = Dialect(dialect)
    for answer in (OPEN_HEAD + sse(d.token(), d.end()), chunked(sse(d.token(), b"[DONE]"))):
        request = request_of(serve, dialect, answer)
        assert (request.ok, request.output_tokens, request.text) == (True, 1, "t ")
    assert request_of(serve, dialect, chunked(sse(d.token()))).error == CUT_OFF


def test_triton_ends_a_short_answer_with_its_body(serve: Serve) -> None:
    request = request_of(serve, "triton", chunked(sse(Dialect("triton").token())))
    assert (request.ok, request.output_tokens, request.text) == (True, 1, "t ")


def delta(**piece: object) -> bytes:
    return json.dumps({"choices": [{"delta": piece}]}).encode()


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_tokens_count_for_ttft_and_are_counted_separately(
    serve: Serve, name: str
) -> None:
    usage = b'{"choices": [], "usage": {"completion_tokens": 3}}'
    thinking = [delta(role="assistant", content=""), delta(**{name: "hm"}), delta(**{name: "so"})]
    request = request_of(
        serve, "chat", chunked(sse(*thinking, delta(content="yes"), usage, b"[DONE]"))
    )
    assert (request.error, request.output_tokens, request.reasoning_tokens) == ("", 3, 2)
    assert request.text == "yes"
    assert request.usage_tokens == 3
    assert request.first_answer_s == request.token_times_s[2]


def test_tool_calls_alone_are_tokens(serve: Serve) -> None:
    call = delta(tool_calls=[{"index": 0, "function": {"arguments": "{"}}])
    request = request_of(serve, "chat", chunked(sse(call, call, Dialect("chat").end("tool_calls"))))
    assert (request.error, request.output_tokens, request.reasoning_tokens) == ("", 2, 2)


def test_half_a_surrogate_pair_is_replaced(serve: Serve) -> None:
    d = Dialect("triton")
    request = request_of(serve, "triton", chunked(sse(d.token("\ud800"), d.token(), d.token())))
    assert request.ok
    assert request.text.encode()
