"""A request's head: what it says, and which of its headers an expert gets."""

import re
from typing import Any
from urllib.parse import urlsplit

from er.gateway.fast import heads
from er.gateway.fast.refusal import Refusal
from er.gateway.fast.routes import ROUTES

REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}\Z")


class RequestHead:
    """One head as read; it may belong to many requests, which differ only in their length."""

    __slots__ = (
        "_pass_authorization", "_translated", "expects_continue", "explain", "headers",
        "http_1_0", "identity", "keep_alive", "length", "method", "path", "route", "upstream",
    )  # fmt: skip

    def __init__(
        self,
        parser: Any,
        target: bytes,
        headers: heads.Headers,
        *,
        pass_authorization: bool = False,
    ) -> None:
        """Take in what llhttp knows. Raises Refusal for what this gateway does not take."""
        self.headers = headers
        self.method = parser.get_method()
        self.keep_alive = parser.should_keep_alive()
        version = parser.get_http_version()
        self.http_1_0 = version == "1.0"
        self.length = -1  # of the body, as announced; -1: unknown
        self.expects_continue = False
        hosts = 0
        for name, value in headers:
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
        self.path = path_of(target)
        self.identity = identity_of(headers)
        self.explain = bool(self.header(b"x-er-explain"))
        self.route = ROUTES.get(self.path) if self.method == b"POST" else None
        # What an expert of the same dialect gets of it.
        self._pass_authorization = pass_authorization
        self.upstream = heads.request_headers(
            headers, with_authorization=pass_authorization, translated=False
        )
        self._translated = b""

    @property
    def repeats(self) -> bool:
        """Whether requests with a body of another length may have the same head."""
        return self.keep_alive and not (self.expects_continue or self.http_1_0 or self.identity)

    def header(self, name: bytes) -> bytes:
        """A header's value, the first of several; empty without it."""
        for known, value in self.headers:
            if known == name:
                return value
        return b""

    def upstream_translated(self) -> bytes:
        """The header lines that an expert of another dialect gets."""
        if not self._translated:
            self._translated = heads.request_headers(
                self.headers, with_authorization=self._pass_authorization, translated=True
            )
        return self._translated


def identity_of(headers: heads.Headers) -> bytes:
    """The request id among headers; empty without one that can be passed on."""
    given = next((value for name, value in headers if name == b"x-request-id"), b"")
    return given if REQUEST_ID.match(given) else b""


def path_of(target: bytes) -> bytes:
    """The path in a request's target, empty where it has none (CONNECT, or *).

    Raises Refusal where it is no URI.
    """
    if not target.startswith(b"/"):
        try:
            absolute = urlsplit(target)
        except ValueError:
            raise _bad("the target is no URI") from None
        target = (absolute.path or b"/") if absolute.netloc else b""
    return target.partition(b"?")[0]


def _bad(message: str) -> Refusal:
    return Refusal(400, "bad_request", message, close=True)
