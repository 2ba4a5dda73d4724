"""The part of HTTP/1.1 that a request for a stream of events, and reading it, needs."""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from er.load import answer, credentials, tokens
from er.load.answer import BadAnswerError
from er.load.events import EventReader
from er.results.request import Endpoint, Prompt, Request

HEAD_AT_MOST = 65536  # bytes
HEAD_END = b"\r\n\r\n"
INFORMATIONAL_AT_MOST = 100  # 1xx answers before the final one
LINE_AT_MOST = 4096  # bytes of the line before a chunk, or of a trailer
BROKEN_CHUNKS = "broken chunks in the stream"
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;|$)")
REFUSAL_AT_MOST = 4096  # bytes kept of an answer that is not an event stream


def encode_request(endpoint: Endpoint, prompt: Prompt) -> bytes:
    """The HTTP request, head and body, for one prompt."""
    url = urlsplit(endpoint.url)
    content = answer.encode_body(endpoint, prompt)
    lines = [
        f"POST {url.path or '/'}{'?' + url.query if url.query else ''} HTTP/1.1",
        f"host: {url.netloc}",
        "content-type: application/json",
        f"accept: {answer.EVENT_STREAM}",
        "accept-encoding: identity",
        *[f"{name}: {value}" for name, value in credentials.headers(endpoint).items()],
        f"content-length: {len(content)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


class Chunks:
    """The payload of the chunked transfer encoding (RFC 9112, section 7.1)."""

    def __init__(self) -> None:
        self.ended = False
        self._left = 0  # bytes of the current chunk that have not arrived
        self._line = b""  # a line of which the end has not arrived
        self._last = False  # only trailers follow
        self._line_end_due = False  # a chunk's data has ended, its line end has not arrived

    def feed(self, data: bytes) -> bytes:
        """The payload within `data`. Raises BadAnswerError when the encoding is broken."""
        if self._line:
            data, self._line = self._line + data, b""
        elif not self._left and (whole := _one_chunk(data)):
            return whole
        pieces = []
        at = 0
        while at < len(data):
            if self._left:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                self._line_end_due = not self._left
                continue
            end = data.find(b"\r\n", at)
            if (end if end >= 0 else len(data)) - at > LINE_AT_MOST:
                raise BadAnswerError(BROKEN_CHUNKS)
            if end < 0:
                self._line = data[at:]
                break
            if self._line_end_due != (end == at) and not self._last:
                raise BadAnswerError(BROKEN_CHUNKS)
            if self._line_end_due:
                self._line_end_due = False
            elif not self._last:
                self._open(data[at:end])
            elif end == at:
                self.ended = True
            at = end + 2
        return b"".join(pieces)

    def _open(self, line: bytes) -> None:
        """Begin the chunk whose size a line gives."""
        size = CHUNK_SIZE.match(line)
        if not size:
            raise BadAnswerError(BROKEN_CHUNKS)
        self._left = int(size[1], 16)
        self._last = self._left == 0


def _one_chunk(data: bytes) -> bytes:
    """The payload of `data` that is exactly one chunk, as servers send tokens; otherwise b""."""
    start = data.find(b"\r\n") + 2
    size = CHUNK_SIZE.match(data[: start - 2])
    if not size or start + int(size[1], 16) + 2 != len(data):
        return b""
    return data[start:-2] if data.endswith(b"\r\n") else b""


@dataclass
class Answer:
    """One answer while it arrives."""

    events: list[bytes] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    done: bool = False
    keep_alive: bool = True
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._head = bytearray()
        self._informational = 0
        self._refusal = b""
        self._left = -1  # bytes of the body to come; -1: unknown, until the connection ends
        self._chunks: Chunks | None = None
        self._reader = EventReader()
        self._streams = False
        self._framed = False  # whether the head says where the body ends
        self._size = 0

    @property
    def begun(self) -> bool:
        """Whether any byte of it has arrived."""
        return bool(self.status or self._head)

    def feed(self, data: bytes, now_s: float) -> None:
        """Read bytes that arrived at `now_s`. Raises BadAnswerError when they are not HTTP."""
        self._size += len(data)
        if self._size > answer.ANSWER_AT_MOST:
            raise BadAnswerError(answer.TOO_LONG)
        while not self.status:
            data = self._read_head(data)
            if not self.status and not data:
                return
        if self._chunks:
            data = self._chunks.feed(data)
            self.done = self._chunks.ended
        elif self._left >= 0:
            data = data[: self._left]
            self._left -= len(data)
            self.done = self._left <= 0
        if not self._streams:
            self._refusal = (self._refusal + data)[:REFUSAL_AT_MOST]
            return
        for event in self._reader.feed(data):
            self.events.append(event)
            self.times_s.append(now_s)

    def close(self) -> None:
        """The connection ended. Raises BadAnswerError unless that completes the answer."""
        if not self.status:
            raise BadAnswerError("connection closed before an answer")
        if self._chunks or self._left >= 0:
            raise BadAnswerError("connection broke inside the stream")
        self.done = True

    def fill(self, request: Request) -> None:
        """Fill in a request. Raises BadAnswerError unless this is a complete stream of tokens."""
        request.status = self.status
        request.expert = answer.parse_expert(self.headers.get(answer.EXPERT_HEADER, ""))
        if not self.status:
            return
        answer.require_event_stream(self.status, self.headers, self._refusal)
        if self.done:
            tokens.enter_stream(self._reader, self.events, self.times_s, request, self._framed)
        else:
            tokens.enter_events(self.events, self.times_s, request, framed=False)

    def _read_head(self, data: bytes) -> bytes:
        """Collect the head, and read it once it is complete; returns the bytes after it."""
        searched = max(0, len(self._head) - len(HEAD_END) + 1)
        self._head += data
        end = self._head.find(HEAD_END, searched)
        if (end if end >= 0 else len(self._head)) > HEAD_AT_MOST or (
            end < 0 and not b"HTTP/1.".startswith(self._head[:7])
        ):
            if self._head.startswith(b"HTTP/1."):
                raise BadAnswerError(f"a head of more than {HEAD_AT_MOST >> 10} KiB")
            raise BadAnswerError(f"not HTTP: {answer.shorten(bytes(self._head[:80]))}")
        if end < 0:
            return b""
        rest = bytes(self._head[end + len(HEAD_END) :])
        first, *lines = self._head[:end].decode("latin-1").split("\r\n")
        version, _, code = first.partition(" ")
        if not version.startswith("HTTP/1.") or not code[:3].isdecimal():
            raise BadAnswerError(f"not HTTP: {answer.shorten(first)}")
        self._head.clear()
        if code.startswith("1") and code[:3] != "101":
            self._informational += 1
            if self._informational > INFORMATIONAL_AT_MOST:
                raise BadAnswerError("not HTTP: informational answers without end")
            return rest  # the final answer is still to come
        self.status = int(code[:3])
        self.headers = _headers(lines)
        self._start_body(version)
        return rest

    def _start_body(self, version: str) -> None:
        """Read from the head where the body ends, and whether it is a stream of events."""
        connection = self.headers.get("connection", "").lower()
        old = version == "HTTP/1.0"
        self.keep_alive = connection == "keep-alive" if old else connection != "close"
        if "transfer-encoding" in self.headers and "content-length" in self.headers:
            raise BadAnswerError("not HTTP: both content-length and transfer-encoding")
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            self._chunks = Chunks()
        elif self.status == 204:
            self._left = 0
        elif "content-length" in self.headers:
            length = self.headers["content-length"]
            if not (length.isascii() and length.isdecimal() and len(length) < 16):
                raise BadAnswerError(f"not HTTP: content-length {answer.shorten(length)}")
            self._left = int(length)
        else:
            self.keep_alive = False
        self._framed = self._chunks is not None or self._left >= 0
        self.done = self._left == 0
        kind = answer.parse_content_type(self.headers)
        self._streams = self.status == 200 and kind == answer.EVENT_STREAM


def complete(request: Request, answer: Answer) -> None:
    """Decode an answer into its request; a fault of the server becomes the request's error."""
    try:
        answer.fill(request)
    except BadAnswerError as error:
        request.error = request.error or str(error)


def _headers(lines: list[str]) -> dict[str, str]:
    """Headers by name in lower case; the first of several with one name."""
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), value.strip())
    return headers
