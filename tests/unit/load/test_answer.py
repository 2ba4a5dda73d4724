"""Requests and answers in the dialects of Triton and of OpenAI."""

import json
from dataclasses import replace

import pytest

from er.load import answer, tokens
from er.load.answer import BadAnswerError
from er.results.request import Endpoint, Request
from tests.unit.load.fakes import prompt


def encoded(path: str) -> dict[str, object]:
    body = answer.encode_body(Endpoint(f"http://host:1{path}", "llama"), prompt("Hello", 7))
    return dict(json.loads(body))


def test_a_request_to_triton_has_text_input() -> None:
    assert encoded("/v2/models/x/generate_stream") == {
        "text_input": "Hello",
        "max_tokens": 7,
        "stream": True,
        "end_id": -1,
    }


def test_a_request_to_openai_has_messages_or_a_prompt() -> None:
    common: dict[str, object] = {
        "model": "llama",
        "max_tokens": 7,
        "stream": True,
        "ignore_eos": True,
    }
    common["stream_options"] = {"include_usage": True}
    messages = [{"role": "user", "content": "Hello"}]
    assert encoded("/v1/chat/completions") == common | {"messages": messages}
    assert encoded("/v1/completions") == common | {"prompt": "Hello"}


@pytest.mark.parametrize(
    "path", ["/v2/models/x/generate_stream", "/v1/chat/completions", "/v1/completions"]
)
def test_an_answer_that_may_end_by_itself_is_not_forced(path: str) -> None:
    free = replace(prompt("Hello", 7), stop_at_eos=True)
    body = json.loads(answer.encode_body(Endpoint(f"http://host:1{path}", "llama"), free))
    assert not {"end_id", "ignore_eos"} & set(body)


def entered(*events: object) -> Request:
    request = Request(1, 0, 0, False, "t", 1, 3, 0.0)
    data = [e if isinstance(e, bytes) else json.dumps(e).encode() for e in events]
    tokens.enter_events(data, [float(place) for place in range(len(data))], request)
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


@pytest.mark.parametrize(
    ("texts", "tokens"),
    [
        (["", "é"], 2),  # half a character
        (["a", ""], 1),  # the model ended by itself
        (["a", "b", ""], 3),  # half a character, and no more was asked for
        (["a", "b", "c", ""], 3),  # all that was asked for, then its end
        (["a", "b", "c", "d"], 4),
    ],
)
def test_an_event_without_text_at_the_end_of_an_answer_is_no_token(
    texts: list[str], tokens: int
) -> None:
    request = entered(*({"text_output": text} for text in texts))
    assert request.output_tokens == tokens
    assert request.text == "".join(texts)


def test_a_model_that_ends_at_once_has_answered_nothing() -> None:
    with pytest.raises(BadAnswerError, match="no tokens"):
        entered({"text_output": ""})


@pytest.mark.parametrize(
    ("events", "error"),
    [
        ([b"[DONE]"], "no tokens"),
        ([piece("a"), b"[1]"], r"not an object in an event: \[1\]"),
        ([piece("a"), {"error": {"message": "too long"}}], "too long"),
        ([b"{} , {}"], "not JSON in an event"),
    ],
)
def test_an_answer_that_is_not_a_stream_of_tokens_is_refused(
    events: list[object], error: str
) -> None:
    with pytest.raises(BadAnswerError, match=error):
        entered(*events)
