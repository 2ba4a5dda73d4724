"""Whatever an expert answers, in whichever dialect: the client gets a whole answer, or an error."""

import json
import logging

import pytest

from er.config import Policy
from tests.unit.gateway.conftest import Start
from tests.unit.gateway.raw import END, answering, chunk, is_whole, post, say, status

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
DEEP = b"[" * 100_000 + b"]" * 100_000
VALUES = {
    "no JSON": b"{oops", "a number": b"5", "a list": b"[1, 2]", "null": b"null", "a text": b'"a"',
    "an empty object": b"{}", "deep": DEEP, "invalid UTF-8": b'{"text_output": "\xff\xfe"}',
    "a lone surrogate": b'{"text_output": "\\ud800", "choices": [{"text": "\\ud800"}]}',
    "NUL": b'{"text_output": "\\u0000"}\0', "NaN": b'{"text_output": NaN}',
    "a huge number": b'{"usage": {"completion_tokens": 1e999}, "choices": []}',
    "a text that is an object": b'{"text_output": {"a": 1}}', "a text that is null":
    b'{"text_output": null}', "choices that are a number": b'{"choices": 5}',
    "choices that are null": b'{"choices": null}', "a choice that is a text": b'{"choices": ["a"]}',
    "a delta that is null": b'{"choices": [{"delta": null, "message": null}]}',
    "content that is a number": b'{"choices": [{"delta": {"content": 5}, "text": 5}]}',
    "content that is a list": b'{"choices": [{"delta": {"content": ["a"]}, "text": ["a"]}]}',
    "an index beyond": b'{"choices": [{"index": 1e99, "text": "a", "delta": {"content": "a"}}]}',
    "usage that is a text": b'{"usage": "all", "choices": [{"text": "a", "finish_reason": 7}]}',
    "an error that is a number": b'{"error": 7}', "an error that is null": b'{"error": null}',
    "an error that is deep": b'{"error": ' + DEEP + b"}",
    "a message that is an object": b'{"error": {"message": {"a": 1}, "code": [1]}}',
    "line ends": b'{"text_output": "\\r\\n\\r\\ndata: [DONE]"}',
}  # fmt: skip
CHAT = {"messages": [{"role": "user", "content": "court"}]}
CLIENTS = {
    "generate_stream": ("/v2/models/ensemble/generate_stream", {"text_input": "court"}),
    "generate": ("/v2/models/ensemble/generate", {"text_input": "court"}),
    "chat": ("/v1/chat/completions", CHAT | {"stream": True}),
    "chat, whole": ("/v1/chat/completions", CHAT),
    "completions": ("/v1/completions", {"prompt": "court", "stream": True}),
}


def answers(value: bytes) -> list[bytes]:
    """A value as an event, in an unusual frame of events, as what is no stream, as an error."""
    event = b"data: " + value + b"\n\n"
    return [
        STREAM + chunk(event) + END,
        STREAM + chunk(event) + chunk(b"data: [DONE]\n\n") + END,
        STREAM + chunk(event[:3]) + chunk(event[3:]) + chunk(b"\r\r: ping\n\nid\n") + END,
        STREAM + chunk(b"\xef\xbb\xbfevent: error\r\n" + event) + END,
        JSON % (len(value), value),
        (JSON % (len(value), value)).replace(b"200 OK", b"500 Oh"),
        (JSON % (len(value), value)).replace(b"application/json", b"text/event-stream"),
    ]


@pytest.mark.parametrize("expert", ["v1", "generate_stream"])
@pytest.mark.parametrize("client", CLIENTS)
async def test_garbage_ends_every_request(
    start: Start, client: str, expert: str, caplog: pytest.LogCaptureFixture
) -> None:
    path, fields = CLIENTS[client]
    request = post(json.dumps(fields).encode(), path=path)
    own = answering(b"")
    async with own.serving() as url:
        url = url.replace("generate_stream", expert)
        gateway = await start(urls=[url], policy=Policy.random, breaker_failures=10**6, retries=0)
        for name, value in VALUES.items():
            for given in answers(value):
                own.answer = answering(given).answer
                answer = await say(gateway.port, request)
                assert is_whole(answer), (name, given[:200])
                assert status(answer) in (200, 500, 502), name
                assert b"Traceback" not in answer
                assert answer.count(b"HTTP/1.1 ") == 1
                if path.startswith("/v1") and expert != "v1":
                    assert is_openais(answer), (name, given[:200], answer)
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


def is_openais(answer: bytes) -> bool:
    """Whether an answer's events, or its body, are objects of OpenAI's."""
    head, _, body = answer.partition(b"\r\n\r\n")
    events = [line.removeprefix(b"data: ") for line in body.splitlines() if b"data: " in line]
    texts = events if b"event-stream" in head else [body]
    objects = [json.loads(text) for text in texts if text != b"[DONE]"]
    return all("choices" in each or "error" in each for each in objects)
