"""Heads of requests and answers: read strictly, passed on without what is for one hop only."""

import re
from dataclasses import dataclass

import httptools

Headers = list[tuple[bytes, bytes]]

# RFC 9110, section 7.6.1, and what this gateway sets itself.
HOP_BY_HOP = frozenset(
    (
        b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate",
        b"proxy-authorization", b"te", b"trailer", b"transfer-encoding", b"upgrade",
    )
)  # fmt: skip
NOT_UPSTREAM = HOP_BY_HOP | {
    b"host",
    b"content-length",
    b"expect",
    b"authorization",
    b"x-api-key",
    b"x-request-id",
}
NOT_DOWNSTREAM = HOP_BY_HOP | {b"content-length", b"server", b"date", b"x-request-id"}
OWN = b"x-er-"
CACHED_AT_MOST = 256
TOKEN_LIST = re.compile(rb"[ \t]*,[ \t]*")
REASONS = {
    400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden", 404: b"Not Found",
    405: b"Method Not Allowed", 408: b"Request Timeout", 411: b"Length Required",
    413: b"Content Too Large", 415: b"Unsupported Media Type", 417: b"Expectation Failed",
    429: b"Too Many Requests", 431: b"Request Header Fields Too Large",
    500: b"Internal Server Error", 502: b"Bad Gateway", 503: b"Service Unavailable",
    504: b"Gateway Timeout", 505: b"HTTP Version Not Supported",
}  # fmt: skip


class BadHeadError(Exception):
    """An answer's head is not HTTP/1."""


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """What an expert's answer begins with."""

    status: int
    start_and_headers: bytes  # for the client: status line and end-to-end headers, each with CRLF
    chunked: bool
    length: int  # of the body; -1: unknown
    keep_alive: bool
    event_stream: bool
    encoded: bool  # has a Content-Encoding

    @property
    def framed(self) -> bool:
        """Whether the head says where the body ends."""
        return self.chunked or self.length >= 0

    def lines_of(self, *names: bytes) -> bytes:
        """The lines of the headers that have one of these names."""
        lines = self.start_and_headers.splitlines(keepends=True)[1:]
        return b"".join(line for line in lines if line.partition(b":")[0] in names)


def request_headers(headers: Headers, *, with_authorization: bool, translated: bool) -> bytes:
    """The end-to-end headers of a request, each with CRLF; without those that a translated answer
    could not keep to."""
    dropped: frozenset[bytes] = NOT_UPSTREAM
    if translated:
        dropped = dropped | {b"accept-encoding", b"content-type"}
    for name, value in headers:
        if name == b"connection":
            dropped = dropped | set(TOKEN_LIST.split(value.lower()))
    kept = [
        b"%b: %b\r\n" % header
        for header in headers
        if (name := header[0]) not in dropped and not name.startswith(OWN)
    ]
    if with_authorization:
        kept += [b"%b: %b\r\n" % header for header in headers if header[0] == b"authorization"]
    if translated:
        kept.append(b"content-type: application/json\r\n")
    return b"".join(kept)


class _Reader:
    def __init__(self) -> None:
        self.headers: Headers = []
        self.reason = b""
        self.complete = False

    def on_status(self, reason: bytes) -> None:
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.complete = True


_cache: dict[bytes, AnswerHead] = {}


def answer_head(head: bytes) -> AnswerHead:
    """Read the head of an expert's answer, its blank line included. Raises BadHeadError."""
    known = _cache.get(head)
    if known is None:
        known = _read_answer_head(head)
        if len(_cache) < CACHED_AT_MOST:
            _cache[head] = known
    return known


def _read_answer_head(head: bytes) -> AnswerHead:
    reader = _Reader()
    parser = httptools.HttpResponseParser(reader)
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade as error:
        raise BadHeadError("it changes the protocol") from error
    except httptools.HttpParserError as error:
        raise BadHeadError("it is not HTTP/1") from error
    if not reader.complete:
        raise BadHeadError("its head is cut short")
    status = parser.get_status_code()
    fields = dict(reader.headers)
    names = [name for name, _ in reader.headers]
    chunked = b"transfer-encoding" in fields
    if chunked and b"content-length" in fields:  # RFC 9112, section 6.3: it may be smuggling
        raise BadHeadError("it has both Transfer-Encoding and Content-Length")
    if chunked and fields[b"transfer-encoding"].strip().lower() != b"chunked":
        raise BadHeadError("its Transfer-Encoding is not chunked")
    if names.count(b"content-length") > 1:
        raise BadHeadError("it has several Content-Length")
    dropped = NOT_DOWNSTREAM | set(TOKEN_LIST.split(fields.get(b"connection", b"").lower()))
    kept = [
        b"%b: %b\r\n" % header
        for header in reader.headers
        if header[0] not in dropped and not header[0].startswith(OWN)
    ]
    empty = status in (204, 304)
    return AnswerHead(
        status,
        b"HTTP/1.1 %d %b\r\n%b" % (status, reader.reason or b"Unknown", b"".join(kept)),
        chunked,
        0 if empty else int(fields.get(b"content-length", b"-1")),
        parser.should_keep_alive(),
        fields.get(b"content-type", b"").lower().startswith(b"text/event-stream"),
        fields.get(b"content-encoding", b"identity").strip().lower() != b"identity",
    )


def plain_answer(
    status: int,
    content: bytes,
    content_type: bytes = b"application/json",
    extra_headers: bytes = b"",
) -> bytes:
    """A whole answer of the gateway's own; `extra_headers` are header lines."""
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n%b" % (
        status, REASONS.get(status, b"OK"), content_type, len(content), extra_headers, content,
    )  # fmt: skip
