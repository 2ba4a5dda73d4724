"""A client's connection: requests in, answers out, one at a time."""

import asyncio
import time
from typing import TYPE_CHECKING, Any

from er.gateway.fast import endings
from er.gateway.fast.outbox import DirectWriter
from er.gateway.fast.pace import FULL_READ_BYTES, one_read_a_turn
from er.gateway.fast.reading import BODY, BUSY, HEAD, IDLE, LINGER, Reader
from er.gateway.fast.refusal import Refusal
from er.gateway.fast.request import Request

if TYPE_CHECKING:
    from er.gateway.fast.exchange import Exchange
    from er.gateway.fast.server import Server

LINGER_S = 2.0
LINGER_BYTES = 2**20
WRITE_BUFFER_BYTES = 65536


class Client(DirectWriter):
    """Answers requests in their order."""

    __slots__ = (
        "_answering", "_closing", "_lingered", "_reader", "_reading_paused", "_refused",
        "_server", "_unread", "_waiting", "admin", "exchange", "peer", "phase", "since_s",
        "stalled_since_s",
    )  # fmt: skip

    def __init__(self, server: "Server", *, admin: bool) -> None:
        super().__init__(direct=admin or not server.tls)
        self._server, self._outbox = server, server.outbox
        self.admin = admin
        self._reader = Reader(self, server)
        self._waiting: list[Request] = []  # pipelined
        self._unread = b""  # what has come after them
        self._refused: tuple[Refusal, bytes, bytes] | None = None  # what came after those
        self._closing = self._answering = False
        self._reading_paused = False
        self._lingered = 0
        self.phase = IDLE
        self.since_s = time.monotonic()
        self.stalled_since_s = 0.0  # 0: the client reads
        self.exchange: Exchange | None = None
        self.peer = ""

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        peer = transport.get_extra_info("peername")
        self.peer = str(peer[0]) if peer else ""
        try:
            self._server.admit(self)
        except Refusal as refusal:
            self._closing = True
            self.refuse_unrouted(refusal)
            if self._server.is_crowded:  # its descriptor is needed
                self.transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        """The client has left, or was sent away."""
        self._server.forget(self)
        if self._reading_paused:
            self._server.leaving.forget(self._fd, self)
        self._reader.close()
        cause = "draining" if self._server.draining else "client_left"
        for request in self._waiting:
            self._server.release(request)
            self._server.counts.fail(cause)
            identity = request.identity or self._server.new_identity()
            self._server.log_unrouted(self, request.head.path, identity, 0, cause)
        self._waiting = []
        if self._refused:
            (refusal, path, identity), self._refused = self._refused, None
            self._count_failure(refusal.cause)
            self._server.log_unrouted(self, path, identity, 0, refusal.cause)
        if self.exchange:
            exchange, self.exchange = self.exchange, None
            endings.client_left(exchange)

    def eof_received(self) -> bool:
        """A client that will send nothing more has left."""
        return False

    def pause_writing(self) -> None:
        """The client does not read as fast as the expert writes."""
        self.stalled_since_s = time.monotonic()
        if self.exchange:
            self.exchange.pause()

    def resume_writing(self) -> None:
        """It has caught up."""
        self.stalled_since_s = 0.0
        if self.exchange:
            self.exchange.resume()

    # Reading

    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        if self._closing or self._refused:
            self._linger(len(data))
            return
        idle = self.phase == IDLE and len(data) < FULL_READ_BYTES
        if idle and (request := self._reader.take_known(data)):
            self._begin(request)
            return
        self._feed(data)
        if self._waiting or self._unread:
            if not self._reading_paused:
                self._reading_paused = True
                self.transport.pause_reading()
                self._server.leaving.watch(self._fd, self)
        elif len(data) >= FULL_READ_BYTES:
            one_read_a_turn(self.transport, self._go_on)

    def _go_on(self) -> None:
        if not (self._reading_paused or self.transport.is_closing()):
            self.transport.resume_reading()

    def _feed(self, data: bytes = b"") -> None:
        if self._unread:
            data, self._unread = self._unread + data, b""
        try:
            self._unread = self._reader.feed(data)
        except Refusal as refusal:
            self._refuse_input(refusal)
        if self._unread and not self._answering:
            asyncio.get_running_loop().call_soon(self._next)

    def enter(self, phase: int) -> None:
        """Reading has come so far; each phase has its time limit."""
        self.phase, self.since_s = phase, time.monotonic()

    def say_continue(self) -> None:
        """The client waits for leave to send its body."""
        if not self._answering:
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def take(self, request: Request) -> None:
        """A request is whole: answer it now, or after those before it."""
        if self._closing:
            self._server.release(request)
        elif self._answering:
            self._waiting.append(request)
        else:
            self._begin(request)

    def _begin(self, request: Request) -> None:
        self.phase, self._answering = BUSY, True
        self._server.handle(self, request)

    def _linger(self, size: int) -> None:
        """What still comes is thrown away, so that the refusal is not lost with it."""
        self._lingered += size
        if self._lingered > LINGER_BYTES:
            self.transport.abort()

    # Writing (`send`: see DirectWriter)

    def finish(self, keep_alive: bool) -> None:
        """An answer has ended: close, or go on to the next request."""
        self.exchange, self._answering = None, False
        if not keep_alive or self._closing or self._server.draining:
            self.close()
            return
        self.phase, self.since_s = IDLE, time.monotonic()
        if self._waiting or self._unread:
            # Not from within the call that ended the last one: they may be many.
            asyncio.get_running_loop().call_soon(self._next)
        elif self._refused:
            (refusal, path, identity), self._refused = self._refused, None
            self.refuse_unrouted(refusal, path, identity)

    def _next(self) -> None:
        if self._answering or self._closing:
            return
        if self._waiting:
            self._begin(self._waiting.pop(0))
        if self._unread and not self._waiting:
            self._feed()
        if not self._waiting and not self._unread and self._reading_paused:
            self._reading_paused = False
            self._server.leaving.forget(self._fd, self)
            self.transport.resume_reading()

    def _refuse_input(self, refusal: Refusal) -> None:
        """Refuse what is being read; an answer under way to an earlier request goes first."""
        path = self._reader.path
        identity = self._reader.identity or self._server.new_identity()
        if self._answering:
            self.phase, self._refused = BUSY, (refusal, path, identity)
        else:
            self.refuse_unrouted(refusal, path, identity)

    def refuse_unrouted(self, refusal: Refusal, path: bytes = b"", identity: bytes = b"") -> None:
        """Refuse a request that no expert is to get, as far as it was read."""
        identity = identity or self._server.new_identity()
        refusal.address(path, identity)
        self._server.log_unrouted(self, path, identity, refusal.status, refusal.cause)
        self.refuse(refusal)

    def refuse(self, refusal: Refusal) -> None:
        """A counted error answer; the connection closes where the request was not read whole."""
        self._count_failure(refusal.cause)
        refusal.__traceback__ = None  # else it and the frames it came through keep each other
        if self.transport.is_closing():
            return
        close = refusal.close or self._closing or self._server.draining
        self.send(refusal.answer(close))
        if close:
            self.phase, self.since_s, self._closing = LINGER, time.monotonic(), True
            self._reader.stop()
            self.flush()
            if self._direct and self.transport.can_write_eof():
                self.transport.write_eof()
            else:
                self.transport.close()
        else:
            self.finish(keep_alive=True)

    def _count_failure(self, cause: str) -> None:
        """An error of a client; what administrators do wrong is none."""
        if not self.admin:
            self._server.counts.fail(cause)

    def close(self) -> None:
        """Close once everything is written."""
        self._closing = True
        self.flush()
        self.transport.close()

    def abort(self) -> None:
        """Break the connection off, so that the client does not take a part for the whole."""
        self._closing = True
        self.transport.abort()

    # Time

    def sweep(self, now_s: float) -> None:
        """End what takes too long."""
        timeouts = self._server.timeouts
        waited_s = now_s - self.since_s
        if self.stalled_since_s and now_s - self.stalled_since_s > timeouts.client_stall_s:
            if self.exchange:
                endings.count_failure(self.exchange, "slow_client")
            else:
                self._count_failure("slow_client")
            self.abort()
        elif self.phase == IDLE and waited_s > timeouts.keepalive_s:
            self.close()
        elif self.phase == LINGER and waited_s > LINGER_S:
            self.abort()
        elif (self.phase == HEAD and waited_s > timeouts.header_s) or (
            self.phase == BODY and waited_s > timeouts.body_s
        ):
            self._refuse_input(
                Refusal(408, "slow_request", "the request came too slowly", close=True)
            )

    def pass_over(self, stopped_s: float, now_s: float) -> None:
        """Time limits count on where they were before the process was stopped."""
        self.since_s = min(self.since_s + stopped_s, now_s)
        if self.stalled_since_s:
            self.stalled_since_s = min(self.stalled_since_s + stopped_s, now_s)


def protocol(server: "Server", *, admin: bool = False) -> Any:
    """What the event loop calls for each connection."""
    return lambda: Client(server, admin=admin)
