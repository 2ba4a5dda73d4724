"""The life of one request: choose an expert, ask it, pass its answer on, end."""

import asyncio
import time
from typing import TYPE_CHECKING

from er.gateway import counts as slots
from er.gateway.choosers import NO_MARGIN, Choice
from er.gateway.dialects.translate import ExpertError, Translation
from er.gateway.fast import admission, endings, heads
from er.gateway.fast.answer import Answer
from er.gateway.fast.connection import Connection
from er.gateway.fast.endings import ANSWERING, CHOOSING, CONNECTING, QUEUED, WAITING
from er.gateway.fast.refusal import Refusal
from er.gateway.fast.replica import Replica, connect
from er.gateway.fast.request import Request

if TYPE_CHECKING:
    from er.gateway.fast.client import Client
    from er.gateway.fast.routes import Route
    from er.gateway.fast.server import Server

RETRIED_STATUSES = (502, 503, 504)


class Exchange:
    """From the whole request to the end of its answer."""

    __slots__ = (
        "_gateway_ns", "_router_headers", "_started_ns", "_translation", "answer", "choice",
        "client", "connection", "opening", "reason", "replica", "request", "route", "seen_s",
        "server", "started_s", "state", "status", "tried", "user",
    )  # fmt: skip

    def __init__(self, server: "Server", client: "Client", request: Request, route: "Route"):
        self.server, self.client, self.route = server, client, route
        self.request = request
        self._started_ns = time.perf_counter_ns()
        self.started_s = self.seen_s = server.now_s
        self.state = CHOOSING
        self.choice: Choice = (0, NO_MARGIN, 0)
        self.replica: Replica | None = None
        self.tried: list[Replica] = []
        self._router_headers = server.own_headers  # of the router that decides
        self.connection: Connection | None = None
        self.opening: asyncio.Task[None] | None = None
        self._translation: Translation | None = None
        self.answer: Answer | None = None
        self.user = ""  # name of the API key
        self.reason = b""  # why the expert was chosen, where the client asks for it
        self.status = 0

    # Choosing

    def start(self) -> None:
        """Read the prompt and choose. Raises Refusal."""
        self.user = admission.key_name(self.server, self.request)
        if len(self.request.body) > admission.LARGE_BYTES:
            self.opening = self.server.spawn(self._choose_in_steps())
            return
        text = admission.prompt(self.server, self.request, self.route)
        if len(text) > self.server.slice_characters:
            self.opening = self.server.spawn(self._choose_in_slices(text))
        else:
            if self.request.head.explain:
                self.reason = self.server.chooser.reason(text)
            self._chosen(self.server.choose(text))

    async def _choose_in_steps(self) -> None:
        """Let others have their turn between the steps."""
        try:
            admission.require_few_brackets(self.request.body)
            await asyncio.sleep(0)
            text = admission.prompt(self.server, self.request, self.route)
        except Refusal as refusal:
            self.opening = None
            endings.refuse(self, refusal)
            return
        await asyncio.sleep(0)
        await self._choose_in_slices(text)

    async def _choose_in_slices(self, text: str) -> None:
        choice = await self.server.choose_in_slices(text)
        self.opening = None
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
            endings.refuse(self, refusal)

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
            self.connect(replica)

    def connect(self, replica: Replica) -> None:
        """Send the request on a new connection."""
        self.state, self.seen_s = CONNECTING, self.server.now_s
        self.opening = self.server.spawn(self._open(replica))

    async def _open(self, replica: Replica) -> None:
        try:
            connection = await connect(replica, Connection)
        except OSError:
            self.opening = None
            endings.fail_over(self, 503, "unreachable", "cannot be reached")
            return
        self.opening = None
        self._send(connection)

    def _send(self, connection: Connection) -> None:
        assert self.replica
        self.connection = connection
        self.state, self.seen_s = WAITING, self.server.now_s
        settings, request = self.server.settings, self.request
        try:
            action, body, self._translation = self.route.for_expert(request.body, self.replica)
        except ValueError as error:
            endings.leave(self, failed=False)
            self.replica, self.connection = None, None
            connection.give_back(self.server.now_s)
            endings.refuse(self, Refusal(400, "bad_request", str(error)))
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
        if head.status in RETRIED_STATUSES and endings.may_retry(self):
            endings.release(self)
            endings.fail_over(self, head.status, "bad_answer", f"answered HTTP {head.status}")
            return False
        if head.status >= 500:
            server.experts.failed(replica)
        else:
            replica.succeed()
        if self._translation and head.encoded:
            raise heads.BadHeadError("it is compressed")
        self.state = ANSWERING
        self.answer = Answer(
            self.client, self.request, head, self._own_headers(replica), self._translation,
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
        lines = b"%bx-er-expert: %d\r\nx-er-gateway-us: %d\r\nx-request-id: %b\r\n" % (
            self._router_headers, replica.cluster, self._gateway_ns // 1000, self.request.identity,
        )  # fmt: skip
        if margin != NO_MARGIN:
            lines += b"x-er-margin: %.6f\r\n" % margin
        if self.reason:
            lines += b"x-er-reason: %b\r\n" % self.reason
        if self.server.draining:
            self.request.keep_alive = False
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
        self.server.counts.observe(2, (time.perf_counter_ns() - self._started_ns) * 1e-9)
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
            self.seen_s = self.server.now_s
            self.connection.transport.resume_reading()
