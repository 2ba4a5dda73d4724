"""The life of one request: choose an expert, ask it, pass its answer on, end."""

import asyncio
import time
from typing import TYPE_CHECKING

from er.gateway import counts as slots
from er.gateway.choosers import NO_MARGIN, Choice
from er.gateway.dialects import openai
from er.gateway.dialects.translate import ExpertError, Translation
from er.gateway.fast import admission, endings, heads
from er.gateway.fast.answer import Answer
from er.gateway.fast.connection import Connection
from er.gateway.fast.endings import ANSWERING, CHOOSING, CONNECTING, QUEUED, WAITING
from er.gateway.fast.large_body import LARGE_BYTES, LargeBody, take_apart
from er.gateway.fast.refusal import Refusal
from er.gateway.fast.replica import Replica, connect
from er.gateway.fast.request import Request

if TYPE_CHECKING:
    from er.gateway.fast.client import Client
    from er.gateway.fast.routes import Outgoing, Prompt, Route
    from er.gateway.fast.server import Server

RETRIED_STATUSES = (502, 503, 504)


class Exchange:
    """From the whole request to the end of its answer."""

    __slots__ = (
        "_gateway_ns", "_large", "_prompt", "_router_headers", "_started_ns", "_translation",
        "answer", "body_bytes", "choice", "client", "connection", "opening", "reason", "replica",
        "request", "route", "seen_s", "server", "started_s", "state", "status", "tried", "user",
    )  # fmt: skip

    def __init__(self, server: "Server", client: "Client", request: Request, route: "Route"):
        self.server, self.client, self.route = server, client, route
        self.request = request
        self.body_bytes = len(request.body)
        self._prompt: Prompt | None = None  # until the answer begins, as the next
        self._large: LargeBody | None = None
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
        if self.body_bytes > LARGE_BYTES:
            self.opening = self.server.spawn(self._choose_in_steps())
            return
        self._prompt, text = admission.prompt(self.server, self.request.body, self.route)
        if len(text) > self.server.slice_characters:
            self.opening = self.server.spawn(self._choose_in_slices(text))
        else:
            if self.request.head.explain:
                self.reason = self.server.chooser.reason(text)
            self._chosen(self.server.choose(text))

    async def _choose_in_steps(self) -> None:
        """Let others have their turn between the steps."""
        try:
            self._large = large = await take_apart(self.request.body)
            self.request.body = b""  # all of it is in there
            self._prompt, outline = admission.prompt(self.server, large.outline, self.route)
            text = await large.decode(outline)
            admission.require_short(self.server, text)
            if isinstance(self._prompt, openai.Request):
                self._prompt.model = await large.decode(self._prompt.model)
        except Refusal as refusal:
            self.opening = None
            endings.refuse(self, refusal)
            return
        except ValueError as error:
            self.opening = None
            endings.refuse(self, Refusal(400, "bad_request", str(error)))
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
        """Send the request to this replica. Raises Refusal where it takes no such request."""
        outgoing = None if self._large else self._for_expert(replica)
        self.replica = replica
        self.tried.append(replica)
        row = self.server.counts.row
        row[slots.IN_FLIGHT + replica.slot] += 1
        row[slots.REQUESTS + replica.slot] += 1
        connection = replica.take() if outgoing else None
        if connection and outgoing:
            self._send(connection, outgoing)
        else:
            self.connect(replica, new=not self._large)

    def connect(self, replica: Replica, *, new: bool = True) -> None:
        """Send the request, on a `new` connection or on one that is kept."""
        self.state, self.seen_s = CONNECTING, self.server.now_s
        self.opening = self.server.spawn(self._open(replica, new))

    async def _open(self, replica: Replica, new: bool) -> None:
        try:
            if self._large:
                await asyncio.sleep(0)
            outgoing = self._for_expert(replica)
            if self._large:
                await asyncio.sleep(0)
            kept = None if new else replica.take()
            connection = kept or await connect(replica, Connection)
        except OSError:
            self.opening = None
            endings.fail_over(self, 503, "unreachable", "cannot be reached")
        except Refusal as refusal:
            self.opening = None
            endings.leave(self, failed=False)
            endings.refuse(self, refusal)
        else:
            self.opening = None
            self._send(connection, outgoing)

    def _for_expert(self, replica: Replica) -> "Outgoing":
        assert self._prompt
        given = self._large.outline if self._large else self.request.body
        try:
            action, body, translation = self.route.for_expert(given, self._prompt, replica)
        except ValueError as error:
            raise Refusal(400, "bad_request", str(error)) from None
        if self._large:
            body = self._large.restore(body)
        return action, body, translation

    def _send(self, connection: Connection, outgoing: "Outgoing") -> None:
        assert self.replica
        self.connection = connection
        self.state, self.seen_s = WAITING, self.server.now_s
        settings, request = self.server.settings, self.request
        action, body, self._translation = outgoing
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
        self._prompt = self._large = None  # it is not sent again
        server.drop_body(self.request)
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
