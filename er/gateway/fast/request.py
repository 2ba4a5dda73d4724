"""A client's request, and the refusals that it may get."""

import json
import re
from typing import Any
from urllib.parse import urlsplit

from er.gateway.dialects.openai import error as openai_error
from er.gateway.fast import heads

REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}\Z")


class Refusal(Exception):  # noqa: N818 (an answer, not a fault)
    """An answer of the gateway's own that is an error; `cause` is what it is counted as."""

    def __init__(
        self, status: int, cause: str, message: str, *, retry_s: int = 0, close: bool = False
    ) -> None:
        super().__init__(message)
        self.status, self.cause, self.message = status, cause, message
        self.retry_s, self.close = retry_s, close
        self.openai = False
        self.extra_headers = b""  # header lines

    def answer(self, close: bool) -> bytes:
        """The bytes, in the dialect of the client."""
        headers = self.extra_headers
        if self.retry_s:
            headers += b"retry-after: %d\r\n" % self.retry_s
        if close:
            headers += b"connection: close\r\n"
        content = error_content(self.message, self.status, openai=self.openai)
        return heads.plain_answer(self.status, content, extra_headers=headers)


def error_content(message: str, status: int, *, openai: bool) -> bytes:
    """An error as JSON: Triton's, or OpenAI's."""
    if not openai:
        return json.dumps({"error": message}).encode()
    return json.dumps(openai_error(message, status)).encode()


class Request:
    """One request, as far as it has been read."""

    __slots__ = (
        "expects_continue", "headers", "http_1_0", "identity", "keep_alive", "length", "method",
        "path", "pieces", "reserved", "size", "target",
    )  # fmt: skip

    def __init__(self) -> None:
        self.target = b""
        self.headers: heads.Headers = []
        self.pieces: list[bytes] = []
        self.size = self.reserved = 0  # bytes of the body: read, and accounted for
        self.length = -1  # as announced; -1: unknown
        self.method = self.path = b""
        self.keep_alive = True
        self.http_1_0 = False
        self.expects_continue = False
        self.identity = b""  # its request id

    def header(self, name: bytes) -> bytes:
        """A header's value, the first of several; empty without it."""
        for known, value in self.headers:
            if known == name:
                return value
        return b""

    @property
    def body(self) -> bytes:
        """The whole body."""
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)

    def complete_head(self, parser: Any) -> None:
        """Take in what the parser knows. Raises Refusal for what this gateway does not take."""
        self.method = parser.get_method()
        self.keep_alive = parser.should_keep_alive()
        version = parser.get_http_version()
        self.http_1_0 = version == "1.0"
        hosts = 0
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
            elif name == b"content-length":
                self.length = int(value)
            elif name == b"transfer-encoding":
                if value.strip().lower() != b"chunked" or self.http_1_0:
                    raise _bad(f"Transfer-Encoding must be chunked, not {value[:40]!r}")
            elif name == b"content-encoding":
                if value.strip().lower() != b"identity":
                    raise Refusal(
                        415, "bad_request", "bodies are taken without Content-Encoding", close=True
                    )
            elif name == b"expect":
                if value.strip().lower() != b"100-continue":
                    raise Refusal(417, "bad_request", "only 100-continue is expected", close=True)
                self.expects_continue = True
        if parser.should_upgrade():
            raise _bad("the protocol cannot be changed")
        if version not in ("1.0", "1.1"):
            raise Refusal(505, "bad_request", "HTTP/1.0 and HTTP/1.1 are spoken here", close=True)
        if hosts > 1 or (not hosts and not self.http_1_0):
            raise _bad("one Host header is needed")
        target = self.target
        if not target.startswith(b"/"):  # absolute form; CONNECT and * have no path
            try:
                target = urlsplit(target).path or b"/"
            except ValueError:
                raise _bad("the target is no URI") from None
        self.path = target.partition(b"?")[0]


def _bad(message: str) -> Refusal:
    return Refusal(400, "bad_request", message, close=True)
