"""The data plane's state: experts, clients, requests under way, and which of them are late."""

import asyncio
import os
import socket
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from er.config import FastGateway
from er.gateway import counts as slots
from er.gateway.choosers import Choice, Chooser
from er.gateway.counts import Counts
from er.gateway.fast import access_log, control, endings, probe, reading
from er.gateway.fast.client import Client
from er.gateway.fast.exchange import Exchange
from er.gateway.fast.experts import Experts
from er.gateway.fast.lateness import end_if_late
from er.gateway.fast.refusal import Refusal
from er.gateway.fast.replica import Replica
from er.gateway.fast.request import Request
from er.gateway.fast.request_head import RequestHead
from er.gateway.fast.routes import ROUTES
from er.gateway.keys import Keys

SWEEP_S = 0.25
SLICE_CHARACTERS = 16384


class Server:
    """One process of the gateway before `experts`: for each cluster the addresses of replicas."""

    def __init__(
        self,
        settings: FastGateway,
        chooser: Chooser,
        policy: str,
        experts: Sequence[Sequence[str]],
        counts: Counts | None = None,
    ) -> None:
        self.settings, self.chooser, self.policy = settings, chooser, policy
        self.timeouts, self.limits = settings.timeouts, settings.limits
        self.counts = counts or Counts()
        self.tls = bool(settings.tls_certificate)
        self.reuses_port = settings.processes > 1
        self.draining = False
        self.slice_characters = SLICE_CHARACTERS
        self.now_s = time.monotonic()  # as of the last sweep
        self.experts = Experts(settings, self.counts, experts)
        self._clients: set[Client] = set()
        self._by_peer: dict[str, int] = {}
        self._exchanges: set[Exchange] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reserved = 0  # bytes of bodies
        self._napping = False
        self.shadow: Chooser | None = None  # its decisions are counted, not used
        self.router_file = ""
        self.keys = Keys({})
        self.known_heads: dict[bytes, RequestHead] = {}  # see `reading`
        self._identity = os.urandom(6).hex().encode()
        self._requests = 0
        self._log: list[str] = []
        self.others: list[socket.socket] = []  # to the other processes of this gateway
        self.use_chooser(chooser)

    def use_chooser(self, chooser: Chooser) -> None:
        """Choose by this one from now on."""
        self.chooser = chooser
        self.own_headers = f"x-er-policy: {self.policy}\r\n".encode()
        if chooser.digest:
            self.own_headers += f"x-er-router: {chooser.digest}\r\n".encode()

    # Clients

    def admit(self, client: Client) -> bool:
        """Whether one more connection may be open."""
        self._clients.add(client)
        self.counts.row[slots.CLIENTS] += 1
        from_peer = self._by_peer.get(client.peer, 0) + 1
        self._by_peer[client.peer] = from_peer
        return (
            len(self._clients) <= self.limits.connections
            and from_peer <= self.limits.connections_per_client
        )

    def forget(self, client: Client) -> None:
        """A connection has ended."""
        if client not in self._clients:
            return
        self._clients.discard(client)
        self.counts.row[slots.CLIENTS] -= 1
        self._by_peer[client.peer] -= 1
        if not self._by_peer[client.peer]:
            del self._by_peer[client.peer]

    def reserve(self, size: int) -> bool:
        """Room for so many bytes of a body."""
        if self._reserved + size > self.limits.buffered_bytes:
            return False
        self._reserved += size
        return True

    def release(self, request: Request) -> None:
        """A body is no longer needed."""
        self._reserved -= request.reserved
        request.reserved = 0

    def drop_body(self, request: Request) -> None:
        """A body is not sent again: give its memory back, answers take long."""
        self.release(request)
        request.body = b""

    def handle(self, client: Client, request: Request) -> None:
        """Answer one request."""
        if not request.identity:
            self._requests += 1
            request.identity = b"%b-%x" % (self._identity, self._requests)
        head = request.head
        route = None if client.admin else ROUTES.get(head.path)
        if route is None or head.method != b"POST":
            control.handle(self, client, request, known=route is not None)
            return
        exchange = Exchange(self, client, request, route)
        client.exchange = exchange
        self._exchanges.add(exchange)
        try:
            exchange.start()
        except Refusal as refusal:
            endings.refuse(exchange, refusal)

    # Choosing

    def choose(self, text: str) -> Choice:
        """The cluster of a prompt."""
        choice = self.chooser.choose(text, self.experts.loads() if self.chooser.reads_loads else ())
        if self.shadow:
            self._compare(choice, self.shadow.choose(text, ()))
        return choice

    async def choose_in_slices(self, text: str) -> Choice:
        """The cluster of a long prompt, while others' answers go on."""
        choice = await self.chooser.choose_long(text, self.experts.loads())
        if self.shadow:
            self._compare(choice, await self.shadow.choose_long(text, ()))
        return choice

    def _compare(self, choice: Choice, in_shadow: Choice) -> None:
        self.counts.event("shadow_same" if in_shadow[0] == choice[0] else "shadow_other")

    def ended(self, exchange: Exchange, request: Request) -> None:
        """A request is over."""
        self._exchanges.discard(exchange)
        self.release(request)
        if self.settings.access_log:
            self._log.append(access_log.line(exchange, request))

    # Time

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run beside the rest."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def sweep_for_ever(self) -> None:
        """Look for what takes too long, and for experts that may be ready again."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self.now_s = self.experts.now_s = time.monotonic()
            for connected in list(self._clients):
                connected.sweep(self.now_s)
            for exchange in list(self._exchanges):
                end_if_late(exchange, self.now_s)
            for replica in self.experts.replicas:
                replica.close_idle(self.now_s - self.timeouts.keepalive_s)
                if replica.probe_at_s and not replica.probing and self.now_s >= replica.probe_at_s:
                    self.spawn(self._probe(replica))
            self.experts.serve_queues()
            self._coalesce()
            self.write_log()

    def write_log(self) -> None:
        """Write the lines of the last quarter of a second."""
        if self._log:
            lines, self._log = self._log, []
            print("\n".join(lines), flush=True)

    async def _probe(self, replica: Replica) -> None:
        """Close the breaker when the expert answers an inference."""
        replica.probing = True
        problem = await probe.infer(replica, self.timeouts.probe_s)
        replica.probing = False
        if problem:
            replica.open_breaker(self.now_s + self.settings.breaker_open_s)
        else:
            replica.close_breaker()
            self.experts.freed(replica)

    def _coalesce(self) -> None:
        """With many answers at once, wake up for several tokens together."""
        busy = len(self._exchanges) >= self.settings.coalesce_streams
        if busy and self.settings.coalesce_s and not self._napping:
            self._napping = True
            asyncio.get_running_loop().call_soon(self._nap)

    def _nap(self) -> None:
        if len(self._exchanges) < self.settings.coalesce_streams // 2:
            self._napping = False
            return
        time.sleep(self.settings.coalesce_s)
        asyncio.get_running_loop().call_soon(self._nap)

    async def drain(self) -> None:
        """Take no new connection, let answers end, and cut those that take too long."""
        self.draining = True
        for connected in list(self._clients):
            if connected.phase == reading.IDLE:
                connected.close()
        deadline_s = time.monotonic() + self.timeouts.drain_s
        while self._exchanges and time.monotonic() < deadline_s:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        for exchange in list(self._exchanges):
            endings.cut_short(exchange, "draining", "was cut off: the gateway stops")
        for _ in range(50):  # what is written is to reach the clients
            if not self._clients:
                break
            await asyncio.sleep(0.02)
        for connected in list(self._clients):
            connected.abort()
        for replica in self.experts.replicas:
            replica.close_idle()
        self.write_log()
