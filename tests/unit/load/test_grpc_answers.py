"""The table of answers over gRPC: what Triton may stream, and what ends it."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.utils import serialize_byte_tensor

from er.load import answer, credentials
from tests.unit.load.test_triton_grpc import INPUTS, Serve, one, serving, token

TOKENS = 3  # asked for


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(serving(answer, INPUTS))


def raw(content: bytes) -> Any:
    """A response whose text is these bytes."""
    response = token("")
    packed = serialize_byte_tensor(np.array([content], dtype=object)).item()
    response.infer_response.raw_output_contents[0] = packed
    return response


def without_text() -> Any:
    return pb.ModelStreamInferResponse(infer_response=pb.ModelInferResponse(model_name="fake"))


GOOD: dict[str, tuple[list[Any], int, str]] = {  # responses, tokens, text
    "plain": ([token("t ")] * TOKENS, TOKENS, "t t t "),
    "an empty end after all": ([*[token("t ")] * TOKENS, token("")], TOKENS, "t t t "),
    "an empty last token": ([token("t "), token("t "), token("")], TOKENS, "t t "),
    "an early end": ([token("t ")], 1, "t "),
    "an early end with an empty response": ([token("t "), token("")], 1, "t "),
    "a response without a text": ([without_text(), *[token("t ")] * TOKENS], TOKENS, "t t t "),
    "bytes that are no UTF-8": ([raw(b"\xff")] * TOKENS, TOKENS, "\ufffd" * 3),
    "half a surrogate pair": ([raw(b"\xed\xa0\x80")] * TOKENS, TOKENS, "\ufffd" * 9),
    "lateness of one": ([*[token("t ")] * 2, token("t ", token_lateness=[0.5])], 3, "t t t "),
}
BAD: dict[str, tuple[list[Any], str]] = {
    "nothing": ([], "no tokens"),
    "no text in any": ([without_text()] * 2, "no tokens"),
    "an error": ([pb.ModelStreamInferResponse(error_message="too long")], "server error: too long"),
    "an error after a token": (
        [token("t "), pb.ModelStreamInferResponse(error_message="no\nKV")],
        "server error: no KV",
    ),
    "lateness that is no number": (
        [token("t ", token_lateness=[float("nan")])],
        "token_lateness is not a number: [nan]",
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_valid_stream_succeeds(serve: Serve, name: str) -> None:
    responses, tokens, text = GOOD[name]
    request = one(serve(lambda *_: iter(responses)))
    assert (request.error, request.output_tokens, request.text) == ("", tokens, text)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_stream_fails_with_its_cause(serve: Serve, name: str) -> None:
    responses, error = BAD[name]
    request = one(serve(lambda *_: iter(responses)))
    assert (request.error, request.ok) == (error, False)


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "NOT_FOUND", "INTERNAL", "UNAVAILABLE"])
def test_a_stream_that_breaks_is_no_success(serve: Serve, code: str) -> None:
    def broken(_: Any, context: Any) -> Iterator[Any]:
        yield token("t ")
        context.abort(getattr(grpc.StatusCode, code), "why")

    request = one(serve(broken))
    assert (request.error, request.output_tokens) == (f"gRPC {code}: why", 1)
    assert not request.ok


def test_an_endless_stream_fails_by_name(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "ANSWER_AT_MOST", 1 << 16)

    def endless(_: Any, context: Any) -> Iterator[Any]:
        while context.is_active():
            yield token("t " * 1000)

    assert one(serve(endless)).error == answer.TOO_LONG


def test_headers_are_sent(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[dict[str, str]] = []

    def noting(_: Any, context: Any) -> Iterator[Any]:
        received.append(dict(context.invocation_metadata()))
        yield from [token("t ")] * TOKENS

    monkeypatch.setenv(credentials.AUTHORIZATION, "")
    monkeypatch.setenv("ER_API_KEY", "mine")
    monkeypatch.setenv("MY_KEY", "value")
    assert one(serve(noting), headers={"X-Key": "MY_KEY"}).ok
    assert received[0]["authorization"] == "Bearer mine"
    assert received[0]["x-key"] == "value"
