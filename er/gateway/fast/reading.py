"""Reads the requests on a client's connection."""

import re
from typing import TYPE_CHECKING

import httptools

from er.gateway.fast import heads
from er.gateway.fast.refusal import Refusal
from er.gateway.fast.request import Request
from er.gateway.fast.request_head import RequestHead, identity_of, path_of

if TYPE_CHECKING:
    from er.gateway.fast.client import Client
    from er.gateway.fast.server import Server

IDLE, HEAD, BODY, BUSY, LINGER = range(5)  # phases of a client's connection
CONTENT_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ([0-9]{1,9})\r\n")
KNOWN_HEADS_AT_MOST, KNOWN_HEAD_BYTES = 1024, 2048
STEP_BYTES = 4096  # that are read at once: they may hold a hundred requests
HEADERS_AT_MOST, CHUNKS_AT_MOST = 256, 4096  # of one request: each takes a microsecond


class Reader:
    """Reads with llhttp's strict rules; a head that differs from an earlier one only in the
    digits of its Content-Length is not parsed again."""

    __slots__ = (
        "_after", "_before", "_begun", "_body", "_chunks", "_client", "_head_bytes", "_headers",
        "_key", "_known", "_parser", "_server", "_taken", "_target", "request",
    )  # fmt: skip

    def __init__(self, client: "Client", server: "Server") -> None:
        self._client, self._server = client, server
        self._parser = httptools.HttpRequestParser(self)
        self._taken = False  # a whole request, in the last bytes
        self._begun = False  # within a request, or after the last one
        self._head_bytes = self._chunks = 0  # of what is being read
        self._body = bytearray()
        self._target = self._key = b""
        self._headers: heads.Headers = []
        self._known: RequestHead | None = None  # the last request's, where it was known
        self._before = self._after = b""  # what that head was around its Content-Length
        self.request: Request | None = None  # whose body is being read

    def feed(self, data: bytes) -> bytes:
        """Take in bytes up to a step in which a request ends; what is left for another turn.

        Raises Refusal for what is no request that this gateway takes.
        """
        if request := self.take_known(data):
            self._client.take(request)
            return b""
        self._taken = False
        at = 0
        while at < len(data) and not self._taken:
            step = self._step_bytes()
            self._parse(data[at : at + step])
            at += step
        return data[at:]

    def _step_bytes(self) -> int:
        """How much to parse at once: the rest of a body holds no other requests."""
        if self.request is None:
            return STEP_BYTES
        return max(STEP_BYTES, self.request.head.length - len(self._body))

    def _parse(self, data: bytes) -> None:
        if self.request is None:
            end = data.find(b"\r\n\r\n") + 4
            self._head_bytes += end if end >= 4 else len(data)
            if self._head_bytes > self._server.limits.header_bytes:
                raise Refusal(431, "too_large", "the head is too long", close=True)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            cause = error.__context__  # what one of the methods below has raised
            if isinstance(cause, Exception):
                raise cause from None
            message = f"this is not HTTP/1.1: {error}"
            raise Refusal(400, "bad_request", message, close=True) from None

    @property
    def path(self) -> bytes:
        """Of the request that is being read, as far as it has come."""
        try:
            return path_of(self._target)
        except Refusal:
            return b""

    @property
    def identity(self) -> bytes:
        """The id that its client gave it, as far as it has come."""
        return identity_of(self._headers)

    def take_known(self, data: bytes) -> Request | None:
        """`data` as a request, where it is one whole request of which the head is known.

        Its body is reserved; where there is no room for it, the long way says so.
        """
        if self._begun or self.request:
            return None
        first = last = -1
        if self._known and data.startswith(self._before):
            first = len(self._before)
            last = data.find(b"\r", first, first + 10)
        if last <= first or not data.startswith(self._after, last):
            first, last = self._look_up(data)
        if not self._known:
            return None
        length = data[first:last]
        body = data[last + len(self._after) :]
        size = len(body)
        if not length.isdigit() or int(length) != size or size > self._server.limits.body_bytes:
            return None
        if not self._server.reserve(size):
            return None
        request = Request(self._known, body)
        request.reserved = size
        return request

    def _look_up(self, data: bytes) -> tuple[int, int]:
        """Where the digits of Content-Length are in a head that is known from any connection; what
        is around them is kept for the next request."""
        self._known, self._before, self._after = None, b"", b""
        end = data.find(b"\r\n\r\n", 0, KNOWN_HEAD_BYTES) + 4
        found = CONTENT_LENGTH.search(data, 0, end) if end > 4 else None
        if not found:
            return 0, 0
        first, last = found.span(1)
        key = data[:first] + data[last:end]
        self._known = self._server.known_heads.get(key)
        if self._known is None:
            self._key = key
        else:
            self._before, self._after = data[:first], data[last:end]
        return first, last

    def on_message_begin(self) -> None:
        """httptools: a request begins."""
        self._begun = True
        self._target, self._headers = b"", []
        self._client.enter(HEAD)

    def on_url(self, url: bytes) -> None:
        """httptools: a part of the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: one header. Raises Refusal when there are too many."""
        if len(self._headers) == HEADERS_AT_MOST:
            raise Refusal(
                431, "too_large", f"a head has {HEADERS_AT_MOST} headers at most", close=True
            )
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """httptools: the head has ended. Raises Refusal where its body is not to be read."""
        passes = self._server.settings.pass_authorization
        head = RequestHead(self._parser, self._target, self._headers, pass_authorization=passes)
        self._remember(head)
        self.request = request = Request(head)
        self._client.enter(BODY)
        self._head_bytes = self._chunks = 0
        if head.length > self._server.limits.body_bytes:
            raise self._too_long()
        if head.length > 0:
            self._reserve(request, head.length)
        if head.expects_continue:
            self._client.say_continue()

    def _remember(self, head: RequestHead) -> None:
        if self._key and head.repeats:
            known = self._server.known_heads
            if len(known) >= KNOWN_HEADS_AT_MOST:
                known.clear()
            known[self._key] = head
        self._key = b""

    def on_body(self, piece: bytes) -> None:
        """httptools: a piece of a body. Raises Refusal when it grows too long."""
        request = self.request
        assert request
        size = len(self._body) + len(piece)
        if size > request.reserved:
            if size > self._server.limits.body_bytes:
                raise self._too_long()
            self._reserve(request, size - request.reserved)
        self._body += piece

    def on_chunk_header(self) -> None:
        """httptools: a chunk of a body begins. Raises Refusal when there are too many."""
        self._chunks += 1
        if self._chunks > CHUNKS_AT_MOST:
            message = f"a body has {CHUNKS_AT_MOST} chunks at most: send larger ones"
            raise Refusal(413, "too_large", message, close=True)

    def on_message_complete(self) -> None:
        """httptools: a request is whole."""
        request, self.request = self.request, None
        assert request
        request.body = bytes(self._body)
        self._body = bytearray()
        self._target, self._headers = b"", []
        self._begun = not request.keep_alive
        self._taken = True
        self._client.take(request)

    def stop(self) -> None:
        """Forget the request that is being read."""
        if self.request:
            self._server.release(self.request)
            self.request, self._body = None, bytearray()

    def close(self) -> None:
        """The connection has ended: keep nothing that keeps this, or its memory waits for a
        collection."""
        self.stop()
        self._known = None
        del self._parser, self._client

    def _reserve(self, request: Request, size: int) -> None:
        if not self._server.reserve(size):
            raise Refusal(429, "overload", "too much is being uploaded", retry_s=1, close=True)
        request.reserved += size

    def _too_long(self) -> Refusal:
        limit = self._server.limits.body_bytes
        return Refusal(413, "too_large", f"a body has {limit} bytes at most", close=True)
