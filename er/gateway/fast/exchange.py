"""The life of one request: choose an expert, ask it, pass its answer on, end."""

import asyncio
import time
from typing import TYPE_CHECKING

from er.gateway import counts as slots
from er.gateway.choosers import NO_MARGIN, Choice
from er.gateway.dialects.translate import ExpertError, Translation
from er.gateway.fast import admission, heads
from er.gateway.fast.answer import Answer
from er.gateway.fast.connection import Connection
from er.gateway.fast.refusal import Refusal
from er.gateway.fast.replica import Replica, connect
from er.gateway.fast.request import Request

if TYPE_CHECKING:
    from er.gateway.fast.client import Client
    from er.gateway.fast.routes import Route
    from er.gateway.fast.server import Server

CHOOSING, QUEUED, CONNECTING, WAITING, ANSWERING, ENDED = range(6)
RETRIED_STATUSES = (502, 503, 504)


class Exchange:
    """From the whole request to the end of its answer."""

    __slots__ = (
        "_connection", "_gateway_ns", "_opening", "_request", "_router_headers", "_started_ns",
        "_translation", "answer", "choice", "client", "reason", "replica", "route", "seen_s",
        "server", "started_s", "state", "status", "tried", "user",
    )  # fmt: skip

    def __init__(self, server: "Server", client: "Client", request: Request, route: "Route"):
        self.server, self.client, self.route = server, client, route
        self._request = request
        self._started_ns = time.perf_counter_ns()
        self.started_s = self.seen_s = server.now_s
        self.state = CHOOSING
        self.choice: Choice = (0, NO_MARGIN, 0)
        self.replica: Replica | None = None
        self.tried: list[Replica] = []
        self._router_headers = server.own_headers  # of the router that decides
        self._connection: Connection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._translation: Translation | None = None
        self.answer: Answer | None = None
        self.user = ""  # name of the API key
        self.reason = b""  # why the expert was chosen, where the client asks for it
        self.status = 0

    # Choosing

    def start(self) -> None:
        """Read the prompt and choose. Raises Refusal."""
        self.user = admission.key_name(self.server, self._request)
        text = admission.prompt(self.server, self._request, self.route)
        if len(text) > self.server.slice_characters:
            self._opening = self.server.spawn(self._choose_in_slices(text))
        else:
            if self._request.head.explain:
                self.reason = self.server.chooser.reason(text)
            self._chosen(self.server.choose(text))

    async def _choose_in_slices(self, text: str) -> None:
        choice = await self.server.choose_in_slices(text)
        self._opening = None
        self._chosen(choice)

    def _chosen(self, choice: Choice) -> None:
        self.choice = choice
        self._gateway_ns = time.perf_counter_ns() - self._started_ns
        server = self.server
        server.counts.observe(0, self._gateway_ns * 1e-9)
        server.counts.row[slots.DECISIONS + choice[0]] += 1
        try:
            server.experts.place(self)
        except Refusal as refusal:
            self.refuse(refusal)

    def wait(self, now_s: float) -> None:
        """There is no place at the expert yet."""
        self.state, self.seen_s = QUEUED, now_s

    # Asking

    def ask(self, replica: Replica) -> None:
        """Send the request to this replica."""
        self.replica = replica
        self.tried.append(replica)
        row = self.server.counts.row
        row[slots.IN_FLIGHT + replica.slot] += 1
        row[slots.REQUESTS + replica.slot] += 1
        connection = replica.take()
        if connection:
            self._send(connection)
        else:
            self._connect(replica)

    def _connect(self, replica: Replica) -> None:
        self.state, self.seen_s = CONNECTING, self.server.now_s
        self._opening = self.server.spawn(self._open(replica))

    async def _open(self, replica: Replica) -> None:
        try:
            connection = await connect(replica, Connection)
        except OSError:
            self._opening = None
            self._failed(503, "unreachable", "cannot be reached")
            return
        self._opening = None
        self._send(connection)

    def _send(self, connection: Connection) -> None:
        assert self.replica
        self._connection = connection
        self.state, self.seen_s = WAITING, self.server.now_s
        settings, request = self.server.settings, self._request
        try:
            action, body, self._translation = self.route.for_expert(request.body, self.replica)
        except ValueError as error:
            self._leave(failed=False)
            self.replica, self._connection = None, None
            connection.give_back(self.server.now_s)
            self.refuse(Refusal(400, "bad_request", str(error)))
            return
        headers = request.head.upstream(
            with_authorization=settings.pass_authorization,
            translated=self._translation is not None,
        )
        start = self.replica.start(action)
        own = b"x-request-id: %b\r\ncontent-length: %d\r\n\r\n" % (request.identity, len(body))
        connection.send(self, b"".join((start, headers, own)), body)

    # The answer, as Connection reads it

    def begin(self, head: heads.AnswerHead) -> bool:
        """The expert's head has come; False when the request is to be sent elsewhere."""
        replica, server = self.replica, self.server
        assert replica
        self.status = head.status
        server.counts.observe(1, (time.perf_counter_ns() - self._started_ns) * 1e-9)
        if head.status in RETRIED_STATUSES and self._retries_left():
            self._drop()
            self._failed(head.status, "bad_answer", f"answered HTTP {head.status}")
            return False
        if head.status >= 500:
            server.experts.failed(replica)
        else:
            replica.succeed()
        if self._translation and head.encoded:
            raise heads.BadHeadError("it is compressed")
        self.state = ANSWERING
        self.answer = Answer(
            self.client, self._request, head, self._own_headers(replica), self._translation,
            openai=self.route.openai,
        )  # fmt: skip
        return True

    @property
    def took_s(self) -> float:
        """Time since the request was whole."""
        return (time.perf_counter_ns() - self._started_ns) * 1e-9

    def _own_headers(self, replica: Replica) -> bytes:
        """Header lines about what the gateway did."""
        margin = self.choice[1]
        lines = b"%bx-er-expert: %d\r\nx-er-gateway-us: %d\r\n" % (
            self._router_headers,
            replica.cluster,
            self._gateway_ns // 1000,
        )
        if margin != NO_MARGIN:
            lines += b"x-er-margin: %.6f\r\n" % margin
        if self.reason:
            lines += b"x-er-reason: %b\r\n" % self.reason
        if self.server.draining:
            self._request.keep_alive = False
        return lines + b"x-request-id: %b\r\n" % self._request.identity

    def end(self, spliced: bytes = b"") -> None:
        """The answer is whole; `spliced` are its last chunks, to be passed on as they are."""
        self._connection = None
        assert self.answer
        try:
            self.answer.end(spliced)
        except Refusal as refusal:
            self._leave(failed=False)
            self.refuse(refusal)
            return
        except ExpertError as error:
            self._break("bad_answer", f"says: {error}")
            return
        self._finish(self._request.keep_alive)

    # What can go wrong

    def no_answer(self, *, reused: bool) -> None:
        """The connection has ended before the first byte of the answer."""
        self._connection = None
        assert self.replica
        if reused:  # the expert has closed an idle connection: it never saw the request
            self.server.counts.event("retries_connection")
            self._connect(self.replica)
        else:
            self._failed(502, "no_answer", "did not answer")

    def cut(self) -> None:
        """The connection has ended within the answer."""
        self._connection = None
        self._break("broken_stream", "broke off its stream")

    def bad_answer(self, why: str) -> None:
        """The expert does not speak HTTP as it should."""
        self._connection = None
        self._break("bad_answer", why)

    def _break(self, cause: str, what: str) -> None:
        """End an answer that cannot be whole."""
        cluster = self._leave(failed=True)
        message, answer = f"expert {cluster} {what}", self.answer
        if answer is None or not (answer.begun or answer.streams):
            self.refuse(Refusal(504 if cause == "timeout" else 502, cause, message))
            return
        self.server.counts.fail(cause)
        if answer.cut(message):
            self._finish(self._request.keep_alive)
        else:
            self._finish(keep_alive=False)
            self.client.abort()

    def _retries_left(self) -> bool:
        return len(self.tried) <= self.server.settings.retries

    def _failed(self, status: int, cause: str, what: str) -> None:
        """Nothing has come of this attempt: make another elsewhere, or refuse."""
        cluster = self._leave(failed=True)
        try:
            if not self._retries_left():
                raise Refusal(status, cause, f"expert {cluster} {what}")
            self.server.experts.place_elsewhere(
                self, Refusal(status, cause, f"expert {cluster} {what}")
            )
        except Refusal as refusal:
            self.refuse(refusal)

    def refuse(self, refusal: Refusal) -> None:
        """Answer with an error of the gateway's own."""
        self.status = refusal.status
        refusal.openai = self.route.openai
        refusal.close |= not self._request.keep_alive
        client = self.client
        self._record_end()
        client.exchange = None
        client.refuse(refusal)

    def client_left(self) -> None:
        """Nobody waits for the answer any more: the expert is to stop."""
        self.server.counts.fail("client_left")
        self._drop()
        self._leave(failed=False)
        self._record_end()

    def cut_short(self, cause: str, what: str) -> None:
        """The gateway ends an answer before the expert does."""
        self._drop()
        self._break(cause, what)

    def give_up(self, status: int, cause: str, what: str) -> None:
        """The gateway waits no longer for an answer that has not begun: elsewhere, or refuse."""
        self._drop()
        self._failed(status, cause, what)

    def leave_queue(self) -> None:
        """No place has become free in time."""
        self._drop()
        self.refuse(Refusal(429, "queue_timeout", "no expert became free", retry_s=1))

    def _drop(self) -> None:
        if self.state == QUEUED:
            self.server.experts.unqueue(self)
        if self._opening:
            self._opening.cancel()
            self._opening = None
        if self._connection:
            connection, self._connection = self._connection, None
            connection.release()

    def _leave(self, *, failed: bool) -> int:
        """Give the place at the expert back; the expert's number."""
        replica, self.replica = self.replica, None
        if replica is None:
            return self.choice[0]
        if failed:
            self.server.experts.failed(replica)
        self.server.counts.row[slots.IN_FLIGHT + replica.slot] -= 1
        self.server.experts.freed(replica)
        return replica.cluster

    def _finish(self, keep_alive: bool) -> None:
        self.server.counts.observe(2, (time.perf_counter_ns() - self._started_ns) * 1e-9)
        self._connection = None
        self._leave(failed=False)
        self._record_end()
        self.client.finish(keep_alive)

    def _record_end(self) -> None:
        self.state = ENDED
        self.server.ended(self, self._request)

    # Pace and time

    def pause(self) -> None:
        """The client does not keep up."""
        if self._connection:
            self._connection.transport.pause_reading()

    def resume(self) -> None:
        """The client has caught up."""
        if self._connection:
            self.seen_s = self.server.now_s
            self._connection.transport.resume_reading()
