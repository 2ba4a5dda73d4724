"""The life of one request: an expert is chosen, asked, its answer passed on, the end."""

import asyncio
import time
from typing import TYPE_CHECKING

from er.gateway import counts as slots
from er.gateway import descriptors
from er.gateway.dialects.translate import ExpertError, Translation
from er.gateway.fast import endings, heads
from er.gateway.fast.answer import Answer
from er.gateway.fast.connection import Connection
from er.gateway.fast.endings import ANSWERING, CHOOSING, CONNECTING, QUEUED, WAITING
from er.gateway.fast.large_body import LargeBody
from er.gateway.fast.refusal import Refusal
from er.gateway.fast.replica import Replica, connect
from er.gateway.fast.request import Request
from er.routing.choice import NO_MARGIN, Choice

if TYPE_CHECKING:
    from er.gateway.fast.client import Client
    from er.gateway.fast.routes import Outgoing, Prompt, Route
    from er.gateway.fast.server import Server

RETRIED_STATUSES = (502, 503, 504)


class Exchange:
    """From the whole request to the end of its answer."""

    __slots__ = (
        "_gateway_s", "_own_headers", "_router_headers", "_started_s", "_translation", "answer",
        "body_bytes", "cause", "choice", "client", "connection", "large", "opening", "prompt",
        "reason", "replica", "request", "route", "seen_s", "server", "started_s", "state",
        "status", "tried", "user",
    )  # fmt: skip

    def __init__(self, server: "Server", client: "Client", request: Request, route: "Route"):
        self.server, self.client, self.route = server, client, route
        self.request = request
        self.body_bytes = len(request.body)
        self.prompt: Prompt | None = None  # until the answer begins, as the next
        self.large: LargeBody | None = None
        self._started_s = self.started_s = self.seen_s = time.monotonic()
        self._gateway_s = -1.0  # until the choice
        self.state = CHOOSING
        self.choice: Choice = (0, NO_MARGIN, 0)
        self.replica: Replica | None = None
        self.tried: list[Replica] = []
        self._router_headers = server.own_headers  # of the router that decides
        self._own_headers = b""  # what the answer says of the gateway
        self.connection: Connection | None = None
        self.opening: asyncio.Task[None] | None = None
        self._translation: Translation | None = None
        self.answer: Answer | None = None
        self.user = ""  # name of the API key
        self.reason = b""  # why the expert was chosen, where the client asks for it
        self.status = 0  # that the client got, or is to get
        self.cause = ""  # why it failed, where it did

    # Choosing

    def chosen(self, choice: Choice) -> None:
        """The expert is known: ask it, or wait for a place."""
        self.choice = choice
        self._gateway_s = time.monotonic() - self._started_s
        server = self.server
        try:
            server.experts.place(self)
        except Refusal as refusal:
            endings.refuse(self, refusal)
        # Counted when the request is on its way: the expert works meanwhile.
        server.counts.observe(slots.CHOOSE, self._gateway_s)
        server.counts.row[slots.DECISIONS + choice[0]] += 1

    def wait(self) -> None:
        """There is no place at the expert yet."""
        self.state, self.seen_s = QUEUED, time.monotonic()

    # Asking

    def ask(self, replica: Replica) -> None:
        """Send the request to this replica. Raises Refusal where it takes no such request."""
        outgoing = None if self.large else self._for_expert(replica)
        self.replica = replica
        self.tried.append(replica)
        row = self.server.counts.row
        row[slots.IN_FLIGHT + replica.slot] += 1
        row[slots.REQUESTS + replica.slot] += 1
        connection = replica.take() if outgoing else None
        if connection and outgoing:
            self._send(connection, outgoing)
        else:
            self.connect(replica, new=not self.large)

    def connect(self, replica: Replica, *, new: bool = True) -> None:
        """Send the request, on a `new` connection or on one that is kept."""
        self.state, self.seen_s = CONNECTING, time.monotonic()
        self.opening = self.server.spawn(self._open(replica, new))

    async def _open(self, replica: Replica, new: bool) -> None:
        try:
            if self.large:
                await asyncio.sleep(0)
            outgoing = self._for_expert(replica)
            if self.large:
                await asyncio.sleep(0)
            kept = None if new else replica.take()
            connection = kept or await connect(replica, Connection)
        except OSError as error:
            self.opening = None
            if shortage := descriptors.describe_shortage(error):  # no expert's fault
                endings.leave(self, failed=False)
                endings.refuse(self, Refusal(503, "overload", shortage, retry_s=1))
            else:
                endings.fail_over(self, 503, "unreachable", "cannot be reached")
        except Refusal as refusal:
            self.opening = None
            endings.leave(self, failed=False)
            endings.refuse(self, refusal)
        else:
            self.opening = None
            self._send(connection, outgoing)

    def _for_expert(self, replica: Replica) -> "Outgoing":
        assert self.prompt
        given = self.large.outline if self.large else self.request.body
        try:
            action, body, translation = self.route.for_expert(given, self.prompt, replica)
        except ValueError as error:
            raise Refusal(400, "bad_request", str(error)) from None
        if self.large:
            body = self.large.restore(body)
        return action, body, translation

    def _send(self, connection: Connection, outgoing: "Outgoing") -> None:
        assert self.replica
        self.connection = connection
        self.state, self.seen_s = WAITING, time.monotonic()
        action, body, self._translation = outgoing
        head, identity = self.request.head, self.request.identity
        lines = head.upstream_translated() if self._translation else head.upstream
        own = b"x-request-id: %b\r\ncontent-length: %d\r\n\r\n" % (identity, len(body))
        connection.ask(self, (self.replica.start(action), lines, own), body)
        self._own_headers = self.describe()  # now, while the expert works

    # The answer, as Connection reads it

    def begin(self, head: heads.AnswerHead) -> bool:
        """The expert's head has come; False when the request is to be sent elsewhere."""
        replica, server = self.replica, self.server
        assert replica
        server.counts.observe(slots.FIRST_BYTE, time.monotonic() - self._started_s)
        if head.status in RETRIED_STATUSES and endings.may_retry(self):
            endings.release(self)
            endings.fail_over(self, head.status, "bad_answer", f"answered HTTP {head.status}")
            return False
        self.status = head.status
        if head.status >= 500:
            server.experts.failed(replica)
            if not self._translation:  # else it is refused with its words
                endings.count_failure(self, "bad_answer")
        else:
            replica.failures = 0
        if self._translation and head.encoded:
            raise heads.BadHeadError("it is compressed")
        self.state = ANSWERING
        self.prompt = self.large = None  # it is not sent again
        request = self.request
        server.release(request)
        request.body = b""  # its memory: answers take long
        if server.draining:
            request.keep_alive = False
        self.answer = Answer(
            self.client, request, head, self._own_headers, self._translation,
            openai=self.route.openai,
        )  # fmt: skip
        return True

    @property
    def took_s(self) -> float:
        """Time since the request was whole."""
        return time.monotonic() - self._started_s

    @property
    def decided(self) -> bool:
        """Whether an expert has been chosen."""
        return self._gateway_s >= 0

    def describe(self) -> bytes:
        """Header lines about what the gateway did so far."""
        if not self.decided:
            return b"x-request-id: %b\r\n" % self.request.identity
        cluster, margin, _ = self.choice
        if self.tried:
            cluster = self.tried[-1].cluster
        lines = b"%bx-er-expert: %d\r\nx-er-gateway-us: %d\r\nx-request-id: %b\r\n" % (
            self._router_headers, cluster, self._gateway_s * 1e6, self.request.identity,
        )  # fmt: skip
        if margin != NO_MARGIN:
            lines += b"x-er-margin: %.6f\r\n" % margin
        if self.reason:
            lines += b"x-er-reason: %b\r\n" % self.reason
        return lines

    def end(self, spliced: bytes = b"") -> None:
        """The answer is whole; `spliced` are its last chunks, to be passed on as they are."""
        self.connection = None
        assert self.answer
        try:
            self.answer.end(spliced)
        except Refusal as refusal:
            endings.leave(self, failed=False)
            endings.refuse(self, refusal)
            return
        except ExpertError as error:
            endings.break_off(self, "bad_answer", f"says: {error}")
            return
        self.finish(keep_alive=self.request.keep_alive)

    def finish(self, *, keep_alive: bool) -> None:
        """The client has got everything."""
        self.server.counts.observe(slots.ANSWER, time.monotonic() - self._started_s)
        self.connection = None
        endings.leave(self, failed=False)
        endings.record_end(self)
        self.client.finish(keep_alive)

    # Pace and time

    def pause(self) -> None:
        """The client does not keep up."""
        if self.connection:
            self.connection.transport.pause_reading()

    def resume(self) -> None:
        """The client has caught up."""
        if self.connection:
            self.seen_s = time.monotonic()
            self.connection.transport.resume_reading()

    def pass_over(self, stopped_s: float, now_s: float) -> None:
        """Time limits count on where they were before the process was stopped."""
        self.started_s = min(self.started_s + stopped_s, now_s)
        self.seen_s = min(self.seen_s + stopped_s, now_s)
