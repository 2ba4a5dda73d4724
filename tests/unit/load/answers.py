"""One table of answers, good and bad, in every dialect."""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from er.load.tokens import HALF
from er.results.words import CUT_OFF
from tests.unit.load.fakes import HEAD, LAST_CHUNK, chunk

PATHS = {
    "triton": "/v2/models/fake/generate_stream",
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
}
OPEN_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
OLD_HEAD = b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
TOKENS = 3  # asked for


@dataclass(frozen=True)
class Dialect:
    """How one dialect says a token."""

    name: str

    def token(self, text: str = "t ") -> bytes:
        choice: dict[str, Any] = {"text": text}
        if self.name == "chat":
            choice = {"delta": {"content": text}}
        fields = {"text_output": text} if self.name == "triton" else {"choices": [choice]}
        return json.dumps(fields).encode()

    def end(self, reason: str = "stop") -> bytes:
        choice: dict[str, Any] = {"text": "", "finish_reason": reason}
        if self.name == "chat":
            choice = {"delta": {}, "finish_reason": reason}
        return json.dumps({"choices": [choice]}).encode()


def sse(*data: bytes) -> bytes:
    return b"".join(b"data: " + piece + b"\n\n" for piece in data)


def chunked(*pieces: bytes) -> bytes:
    return HEAD + b"".join(map(chunk, pieces)) + LAST_CHUNK


def all_tokens(d: Dialect) -> bytes:
    return sse(*[d.token()] * TOKENS)


def json_answer(status: str, body: object, headers: str = "") -> bytes:
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}"
    return f"{head}content-length: {len(content)}\r\n\r\n".encode() + content


Make = Callable[[Dialect], bytes]
GOOD: dict[str, Make] = {
    "plain": lambda d: chunked(all_tokens(d)),
    "closed at its end": lambda d: OPEN_HEAD + all_tokens(d),
    "HTTP/1.0": lambda d: OLD_HEAD + all_tokens(d),
    "no space after data:": lambda d: chunked(all_tokens(d).replace(b"data: ", b"data:")),
    "CRLF": lambda d: chunked(all_tokens(d).replace(b"\n", b"\r\n")),
    "CR alone": lambda d: chunked(all_tokens(d).replace(b"\n", b"\r")),
    "CRLF cut in two": lambda d: chunked(
        *all_tokens(d).replace(b"\n", b"\r\n").replace(b"\r\n", b"\r|\n").split(b"|")
    ),
    "byte order mark": lambda d: chunked(b"\xef\xbb\xbf" + all_tokens(d)),
    "comments, ids, retry": lambda d: chunked(
        b": ping\n\nid: 7\n\nretry: 3\n" + all_tokens(d) + b":\n\n"
    ),
    "several data lines": lambda d: chunked(
        sse(d.token(), d.token()) + b"data: {\ndata: " + d.token()[1:] + b"\n\n"
    ),
    "no empty line at the end": lambda d: chunked(all_tokens(d)[:-1]),
    "no line end at the end": lambda d: chunked(all_tokens(d)[:-2]),
    "[DONE] without a line end": lambda d: chunked(all_tokens(d) + b"data: [DONE]"),
    "[DONE] twice": lambda d: chunked(all_tokens(d) + sse(b"[DONE]", b"[DONE]")),
    "[DONE] and a space": lambda d: chunked(all_tokens(d) + sse(b"[DONE] ")),
    "after [DONE]": lambda d: chunked(all_tokens(d) + sse(b"[DONE]", b"ping")),
    "empty data": lambda d: chunked(b"data: \n\ndata\n\n" + all_tokens(d)),
    "100 before": lambda d: b"HTTP/1.1 100 Continue\r\n\r\n" + chunked(all_tokens(d)),
    "103 before": lambda d: (
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 2 + chunked(all_tokens(d))
    ),
    "chunk extensions, trailers": lambda d: (
        HEAD
        + b"%x;name=value\r\n" % len(all_tokens(d))
        + all_tokens(d)
        + b"\r\n0\r\nx-trailer: 1\r\n\r\n"
    ),
    "chunk sizes in capitals with zeros": lambda d: (
        HEAD + b"000%X\r\n" % len(all_tokens(d)) + all_tokens(d) + b"\r\n" + LAST_CHUNK
    ),
    "a length": lambda d: (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n"
        % len(all_tokens(d))
        + all_tokens(d)
    ),
    "headers in capitals": lambda d: (
        HEAD.upper().replace(b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK")
        + chunked(all_tokens(d))[len(HEAD) :]
    ),
}
BAD: dict[str, tuple[Make, str]] = {
    "cut under connection: close": (lambda d: OPEN_HEAD + sse(d.token(), d.token()), CUT_OFF),
    "cut under HTTP/1.0": (lambda d: OLD_HEAD + sse(d.token()), CUT_OFF),
    "cut inside an event": (lambda d: OPEN_HEAD + sse(d.token()) + b'data: {"te', HALF),
    "cut before the last chunk": (
        lambda d: HEAD + chunk(sse(d.token())),
        "connection broke inside the stream",
    ),
    "event: error": (
        lambda d: chunked(sse(d.token()) + b'event: error\ndata: {"message": "no KV"}\n\n'),
        "server error: no KV",
    ),
    "event: error without JSON": (
        lambda d: chunked(all_tokens(d) + b"event: error\ndata: gone\n\n"),
        "server error: gone",
    ),
    "an error object": (
        lambda _: chunked(sse(b'{"error": {"message": "too long", "code": 400}}')),
        "server error: too long",
    ),
    "an error by its kind": (
        lambda _: chunked(sse(b'{"object": "error", "message": "too long", "code": 400}')),
        "server error: too long",
    ),
    "JSON at status 200": (
        lambda _: json_answer("200 OK", {"error": "no"}),
        "not an event stream: no",
    ),
    "401": (lambda _: json_answer("401 No", {"detail": "key?"}), "HTTP 401: key?"),
    "redirect": (
        lambda _: json_answer("307 There", {}, "location: http://h/v1\r\n"),
        "HTTP 307: moved to http://h/v1",
    ),
    "gzip": (
        lambda d: (
            HEAD[:-2]
            + b"content-encoding: gzip\r\n\r\n"
            + chunk(gzip.compress(all_tokens(d)))
            + LAST_CHUNK
        ),
        "content encoding gzip",
    ),
    "negative chunk size": (lambda d: HEAD + chunk(sse(d.token())) + b"-5\r\nabcde\r\n", "broken"),
    "chunk size with a sign": (lambda _: HEAD + b"+5\r\nabcde\r\n" + LAST_CHUNK, "broken"),
    "endless chunk size": (lambda _: HEAD + b"f" * 40 + b"\r\nabcde\r\n", "broken"),
    "no stream, and a broken chunk": (
        lambda _: HEAD.replace(b"event-stream", b"html") + b"-5\r\nabcde\r\n",
        "broken",
    ),
    "deep JSON": (lambda d: chunked(sse(d.token(), b"[" * 100_000)), "not JSON in an event"),
    "ping before the end": (lambda d: chunked(sse(d.token(), b"ping")), "not JSON in an event"),
    "length and chunks": (
        lambda d: HEAD[:-2] + b"content-length: 3\r\n\r\n" + chunk(all_tokens(d)) + LAST_CHUNK,
        "",
    ),
    "no content type": (
        lambda _: b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        "content type missing is not an event stream",
    ),
    "an event without end": (
        lambda _: chunked(*[b"data: " + b"x" * 65_000] * 20),
        "an event of more than 1 MiB",
    ),
    "nothing": (lambda _: b"", "connection closed before an answer"),
}
