"""A connection to an expert: one request at a time, its answer passed on as it comes."""

import time
from typing import TYPE_CHECKING

from er.gateway.dialects.translate import ExpertError
from er.gateway.fast import endings
from er.gateway.fast.answer import Answer
from er.gateway.fast.framing import END, Chunks, FramingError, sizes, whole_chunks
from er.gateway.fast.heads import BadHeadError, answer_head
from er.gateway.fast.outbox import DirectWriter
from er.gateway.fast.pace import FULL_READ_BYTES, one_read_a_turn

if TYPE_CHECKING:
    from er.gateway.fast.exchange import Exchange
    from er.gateway.fast.replica import Replica

JOINED_BYTES = 65536
IDLE, HEAD, SPLICE, CHUNKED, LENGTH, UNTIL_EOF = range(6)


class Connection(DirectWriter):
    """Where client and expert speak the same dialect whole chunks pass untouched (SPLICE)."""

    __slots__ = (
        "_answer", "_chunks", "_head", "_keep_alive", "_left", "_mode", "exchange",
        "idle_since_s", "replica", "uses",
    )  # fmt: skip

    def __init__(self, replica: "Replica") -> None:
        super().__init__(direct=True)
        self.replica = replica
        self.exchange: Exchange | None = None
        self.uses = 0
        self.idle_since_s = 0.0
        self._mode = IDLE
        self._head = b""
        self._left = 0  # bytes of the body to come
        self._keep_alive = True
        self._chunks = Chunks()
        self._answer: Answer

    def ask(self, exchange: "Exchange", head: tuple[bytes, ...], body: bytes) -> None:
        """Send one whole request; `head` in pieces."""
        self.exchange, self._outbox = exchange, exchange.server.outbox
        self.uses += 1
        self._mode, self._head = HEAD, b""
        if len(body) < JOINED_BYTES:
            self.send(b"".join((*head, body)))
        else:
            self.send(b"".join(head))
            self.flush()
            self.transport.write(body)

    def release(self) -> None:
        """Break off, so that the expert stops working on the request."""
        self.exchange = None
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer."""
        exchange = self.exchange
        if exchange is None:  # no request was sent
            self.transport.abort()
            return
        exchange.seen_s = time.monotonic()
        if len(data) >= FULL_READ_BYTES:
            one_read_a_turn(self.transport, self._go_on)
        if self._mode == SPLICE:
            end = data.find(b"\r\n")
            # Most reads are one chunk, one token.
            if sizes.get(data[:end]) == len(data) - end - 4 and data[-2:] == b"\r\n":
                self._answer.last = data
                exchange.client.send(data)
                return
        try:
            self._take(exchange, data)
            if self.exchange is exchange and self._mode != HEAD:
                self._answer.flush()
        except (BadHeadError, FramingError) as error:
            self.release()
            endings.bad_answer(exchange, f"gave a bad answer: {error}")
        except (ExpertError, ValueError) as error:
            self.release()
            endings.bad_answer(exchange, f"says: {error}")

    def _go_on(self) -> None:
        stalled = self.exchange and self.exchange.client.stalled_since_s
        if not (stalled or self.transport.is_closing()):
            self.transport.resume_reading()

    def _take(self, exchange: "Exchange", data: bytes) -> None:
        if self._mode == HEAD:
            data = self._take_head(exchange, data)
            if self.exchange is not exchange or self._mode == HEAD:
                return
        if self._mode == SPLICE:
            whole = whole_chunks(data)
            if data[whole:] == END:
                self._end(exchange, data)
                return
            if whole:
                self._answer.splice(data[:whole])
                data = data[whole:]
            if not data:
                return
            self._mode = CHUNKED
        if self._mode == CHUNKED:
            for piece in self._chunks.feed(data):
                self._answer.payload(piece)
            if self._chunks.ended:
                self._keep_alive &= not self._chunks.rest
                self._end(exchange)
            elif self._chunks.at_boundary and self._answer.spliced:
                self._mode = SPLICE
        elif self._mode == LENGTH:
            piece = data[: self._left]
            self._left -= len(piece)
            if piece:
                self._answer.payload(piece)
            if not self._left:
                self._keep_alive &= len(piece) == len(data)
                self._end(exchange)
        elif data:
            self._answer.payload(data)

    def _take_head(self, exchange: "Exchange", data: bytes) -> bytes:
        """Read the head; what follows it. Raises BadHeadError."""
        data = self._head + data if self._head else data
        while True:
            end = data.find(b"\r\n\r\n") + 4
            if (end if end >= 4 else len(data)) > exchange.server.limits.header_bytes:
                raise BadHeadError("its head is too long")
            if end < 4:
                self._head = data
                return b""
            head = answer_head(data[:end])
            data = data[end:]
            if head.status >= 200:
                break
        self._head = b""
        self._keep_alive = head.keep_alive
        self._left = head.length
        if head.chunked:
            self._chunks = Chunks()
            self._mode = CHUNKED
        elif head.length >= 0:
            self._mode = LENGTH
        else:
            self._mode, self._keep_alive = UNTIL_EOF, False
        if not exchange.begin(head):
            return b""
        assert exchange.answer
        self._answer = exchange.answer
        if self._mode == CHUNKED and self._answer.spliced:
            self._mode = SPLICE
        return data

    def _end(self, exchange: "Exchange", spliced: bytes = b"") -> None:
        """The answer is whole, with its last chunks where they are passed untouched."""
        self.exchange, self._mode = None, IDLE
        del self._answer  # with the request's body
        # Of a body that was not read to its end, or an answer that came before its request.
        unsent = self._unsent or self.transport.get_write_buffer_size()
        if self._keep_alive and not self.replica.removed and not unsent:
            self.idle_since_s = time.monotonic()
            self.replica.idle.append(self)
        else:
            self.transport.close()
        exchange.end(spliced)

    def eof_received(self) -> bool:
        """The expert sends nothing more."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The connection has ended: the answer too where its head said so, else it is cut."""
        exchange, self.exchange = self.exchange, None
        if exchange is None:
            if self._mode == IDLE and self in self.replica.idle:
                self.replica.idle.remove(self)
        elif self._mode == UNTIL_EOF and error is None:
            exchange.end()
        elif self._mode == HEAD and not self._head:
            endings.no_answer(exchange, reused=self.uses > 1)
        else:
            endings.cut(exchange)
