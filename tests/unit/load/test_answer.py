"""What is asked and what comes back, in Triton's words and in OpenAI's."""

import json

import pytest

from er.load import answer
from er.load.answer import BadAnswerError
from er.results.request import Endpoint, Request
from tests.unit.load.fakes import prompt


def asked(path: str) -> dict[str, object]:
    body = answer.body(Endpoint(f"http://host:1{path}", "llama"), prompt("Hello", 7))
    return dict(json.loads(body))


def test_triton_is_asked_for_text_input() -> None:
    assert asked("/v2/models/x/generate_stream") == {
        "text_input": "Hello",
        "max_tokens": 7,
        "stream": True,
    }


def test_openai_is_asked_for_messages_or_a_prompt() -> None:
    common = {"model": "llama", "max_tokens": 7, "stream": True}
    messages = [{"role": "user", "content": "Hello"}]
    assert asked("/v1/chat/completions") == common | {"messages": messages}
    assert asked("/v1/completions") == common | {"prompt": "Hello"}


def entered(*events: object) -> Request:
    request = Request(1, 0, 0, False, "t", 1, 3, 0.0)
    data = [e if isinstance(e, bytes) else json.dumps(e).encode() for e in events]
    answer.enter(data, [float(place) for place in range(len(data))], request)
    return request


def piece(content: str | None) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"content": content}}], "error": None}


def test_openai_chat_counts_pieces_with_text_only() -> None:
    opening = {"choices": [{"delta": {"role": "assistant", "content": ""}}]}
    usage: dict[str, object] = {"choices": [], "usage": {"completion_tokens": 2}}
    request = entered(opening, piece("Good "), piece("day"), piece(None), usage, b"[DONE]")
    assert request.text == "Good day"
    assert request.token_times_s == [1.0, 2.0]


def test_openai_completions_have_a_plain_text() -> None:
    assert entered({"choices": [{"text": "Good"}]}, b"[DONE]").text == "Good"


def test_triton_counts_empty_texts() -> None:
    assert entered({"text_output": ""}, {"text_output": "é"}).output_tokens == 2


@pytest.mark.parametrize(
    ("events", "error"),
    [
        ([b"[DONE]"], "no tokens"),
        ([piece("a"), b"[1]"], r"not an object in an event: \[1\]"),
        ([piece("a"), {"error": {"message": "too long"}}], "too long"),
        ([b"{} , {}"], "not JSON in an event"),
    ],
)
def test_what_is_no_stream_of_tokens_is_refused(events: list[object], error: str) -> None:
    with pytest.raises(BadAnswerError, match=error):
        entered(*events)
