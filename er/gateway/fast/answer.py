"""An answer on its way to the client: its head, its framing, its end, whole or cut."""

from typing import TYPE_CHECKING

from er.gateway.dialects.translate import ExpertError, Translation, describe_error
from er.gateway.fast import framing
from er.gateway.fast.heads import AnswerHead
from er.gateway.fast.refusal import Refusal, error_content

if TYPE_CHECKING:
    from er.gateway.fast.client import Client
    from er.gateway.fast.request import Request

BUFFERED_AT_MOST = 65536  # bytes of an answer that is no stream
TRANSLATED_AT_MOST = 16 * 2**20
EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\n\r\n", b"\r\n\r\n\r\n")
EVENT_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


class Answer:
    """Passes whole chunks on as they are (`splice`), frames other pieces anew (`payload`)."""

    __slots__ = (
        "_buffer", "_buffered", "_chunked", "_client", "_failed_status", "_framed", "_head",
        "_no_stream", "_openai", "_passed_on", "_pending", "_request", "_translation", "last",
        "spliced", "streams",
    )  # fmt: skip

    def __init__(
        self,
        client: "Client",
        request: "Request",
        head: AnswerHead,
        own_headers: bytes,
        translation: Translation | None,
        *,
        openai: bool,
    ) -> None:
        self._client, self._request, self._openai = client, request, openai
        self._translation = translation
        self._buffer: list[bytes] | None = None
        self._buffered = 0
        self._failed_status = 0
        self.last = b""  # bytes that the client got, as they came
        if translation:
            self._begin_translated(head, own_headers, translation)
            return
        self.streams = head.event_stream and head.status == 200
        has_length = head.length >= 0 and not self.streams
        # A body that only its connection's end ends stays one: chunks would make a cut look whole.
        self._chunked = not has_length and head.framed and not request.head.http_1_0
        self.spliced = self._chunked and head.chunked
        if not has_length and not self._chunked:
            request.keep_alive = False
        if has_length and head.length <= BUFFERED_AT_MOST:
            self._buffer = []
        line = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        if has_length and head.status != 204:  # RFC 9110, section 8.6
            line = b"content-length: %d\r\n" % head.length
        closing = b"" if request.keep_alive else b"connection: close\r\n"
        self._pending = b"".join((head.start_and_headers, line, own_headers, closing, b"\r\n"))

    def _begin_translated(
        self, head: AnswerHead, own_headers: bytes, translation: Translation
    ) -> None:
        self.spliced = False
        self._head = own_headers
        self._framed = head.framed
        self._no_stream = head.status == 200 and not head.event_stream
        # Errors and redirects pass as they are: others, such as 204, may have no body to say so.
        passes = head.status >= 400 or (head.status >= 300 and head.lines_of(b"location"))
        failed = head.status if passes else 502
        self._failed_status = 0 if head.event_stream and head.status == 200 else failed
        self._passed_on = head.lines_of(b"location", b"retry-after")
        self.streams = translation.streams and not self._failed_status
        self._chunked = self.streams and not self._request.head.http_1_0
        self._pending = b""
        if not self.streams:
            self._buffer = []
            return
        if self._request.head.http_1_0:
            self._request.keep_alive = False
        line = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        closing = b"" if self._request.keep_alive else b"connection: close\r\n"
        self._pending = b"".join((EVENT_STREAM, line, own_headers, closing, b"\r\n"))

    @property
    def begun(self) -> bool:
        """Whether the client has got anything of it."""
        return not self._pending and self._buffer is None

    def splice(self, data: bytes) -> None:
        """Whole chunks, passed on as they are."""
        self.last = data
        if self._pending:
            data, self._pending = self._pending + data, b""
        self._client.send(data)

    def payload(self, piece: bytes) -> None:
        """A piece of the answer's body. Raises ExpertError where it holds an error."""
        if self._translation and not self._failed_status:
            piece = self._translation.feed(piece)
            if not piece:
                return
        self.last = piece
        if self._buffer is not None:
            self._buffer.append(piece)
            self._buffered += len(piece)
            if self._buffered > TRANSLATED_AT_MOST:
                raise ExpertError("its answer does not end")
            return
        data = framing.chunk(piece) if self._chunked else piece
        if self._pending:
            data, self._pending = self._pending + data, b""
        self._client.send(data)

    def flush(self) -> None:
        """Do not keep the head back when no token has come with it."""
        if self._pending and self._buffer is None:
            data, self._pending = self._pending, b""
            self._client.send(data)

    def end(self, spliced: bytes) -> None:
        """The answer is whole; `spliced` are its last chunks, to be passed on as they are.

        Raises ExpertError where a translated answer holds an error, Refusal where it is one.
        """
        if self._translation:
            data = self._end_translated(self._translation)
        elif self._buffer is not None:
            data = b"".join(self._buffer)
        else:
            data = spliced or (framing.END if self._chunked else b"")
        data, self._pending = self._pending + data, b""
        if data:
            self._client.send(data)

    def _end_translated(self, translation: Translation) -> bytes:
        if self._failed_status:
            content = b"".join(self._buffer or [])
            text = _error_text(content)
            if self._no_stream:
                text = f"no event stream: {text}"
            refusal = Refusal(self._failed_status, "bad_answer", text)
            refusal.extra_headers = self._passed_on
            raise refusal
        last = translation.end(framed=self._framed)
        if self.streams:
            return framing.chunk(last) + framing.END if self._chunked else last
        closing = b"" if self._request.keep_alive else b"connection: close\r\n"
        length = b"content-length: %d\r\n" % len(last)
        return b"".join((JSON, length, self._head, closing, b"\r\n", last))

    def cut(self, message: str) -> bool:
        """End a stream that cannot be whole by an error event; False where it is no stream."""
        if not self.streams:
            return False
        event = b"data: " + error_content(message, 502, openai=self._openai) + b"\n\n"
        if self.last and not self.last.endswith(EVENT_ENDS):
            event = b"\n\n" + event
        data = framing.chunk(event) + framing.END if self._chunked else event
        self._client.send(self._pending + data)
        self._pending = b""
        return True


def _error_text(content: bytes) -> str:
    """What an expert says in the body of an error, which Triton writes as an event."""
    import json

    try:
        problem = json.loads(content.strip().removeprefix(b"data:"))
    except (ValueError, RecursionError):
        problem = content.decode(errors="replace")
    return describe_error(problem) or "it gives no reason"
