"""The data plane's state: experts, clients, requests under way, and which of them are late."""

import asyncio
import os
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from er.config import FastGateway
from er.gateway import counts as slots
from er.gateway import descriptors
from er.gateway.choosers import Chooser
from er.gateway.counts import Counts
from er.gateway.fast import access_log, choosing, control, endings, reading
from er.gateway.fast.client import Client
from er.gateway.fast.commands import Commands
from er.gateway.fast.exchange import Exchange
from er.gateway.fast.experts import Experts
from er.gateway.fast.leaving import Leaving
from er.gateway.fast.outbox import Outbox
from er.gateway.fast.readiness import Readiness
from er.gateway.fast.refusal import Refusal
from er.gateway.fast.request import Request
from er.gateway.fast.request_head import RequestHead
from er.gateway.fast.routes import ROUTES
from er.gateway.keys import Keys
from er.gateway.output import say
from er.gateway.tokens import TokenLimit
from er.results.words import count_of
from er.routing.choice import Choice

LOG_END_S = 1.0  # for the last lines
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
        self.experts = Experts(settings, self.counts, experts)
        self.clients: set[Client] = set()
        self.leaving = Leaving()
        self._clients_at_most = min(self.limits.connections, descriptors.clients_at_most())
        self._by_peer: dict[str, int] = {}
        self.exchanges: set[Exchange] = set()
        self.outbox = Outbox(self.exchanges)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reserved = 0  # bytes of bodies
        self._napping = False
        self.shadow: Chooser | None = None  # its decisions are counted, not used
        self.router_file = ""
        self.keys = Keys([])
        self.admin_keys = Keys([])
        self.token_limit: TokenLimit | None = None
        self.known_heads: dict[bytes, RequestHead] = {}  # see `reading`
        self._identity = os.urandom(6).hex().encode()
        self._requests = 0
        self.log = access_log.AccessLog(self.counts)
        self.commands: Commands | None = None  # of the administrator, for several processes
        self.readiness = Readiness()
        self.administration = asyncio.Lock()  # one command after the other
        self.use_chooser(chooser)

    def use_chooser(self, chooser: Chooser) -> None:
        """Choose by this one from now on."""
        self.chooser = chooser
        self.own_headers = f"x-er-policy: {self.policy}\r\n".encode()
        if chooser.digest:
            self.own_headers += f"x-er-router: {chooser.digest}\r\n".encode()

    # Clients

    def admit(self, client: Client) -> None:
        """One more connection is open. Raises Refusal where that is one too many."""
        self.clients.add(client)
        self.counts.row[slots.CLIENTS] += 1
        from_peer = self._by_peer.get(client.peer, 0) + 1
        self._by_peer[client.peer] = from_peer
        if len(self.clients) > self._clients_at_most:
            limit = "gateway.limits.connections"
            if self._clients_at_most < self.limits.connections:
                limit = "half of its open files: ulimit -n"
            raise _too_many(self._clients_at_most, "", limit)
        if from_peer > self.limits.connections_per_client:
            limit = "gateway.limits.connections_per_client"
            raise _too_many(self.limits.connections_per_client, " of one client", limit)

    @property
    def is_crowded(self) -> bool:
        """Whether more clients are to leave than may take their time."""
        return len(self.clients) > self._clients_at_most + descriptors.REFUSED_AT_MOST

    def forget(self, client: Client) -> None:
        """A connection has ended."""
        if client not in self.clients:
            return
        self.clients.discard(client)
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

    def handle(self, client: Client, request: Request) -> None:
        """Answer one request."""
        if not request.identity:
            request.identity = self.new_identity()
        route = request.head.route
        if route is None or client.admin:
            known = not client.admin and request.head.path in ROUTES
            control.handle(self, client, request, known=known)
            return
        exchange = Exchange(self, client, request, route)
        client.exchange = exchange
        self.exchanges.add(exchange)
        try:
            choosing.choose(exchange)
        except Refusal as refusal:
            endings.refuse(exchange, refusal)

    def new_identity(self) -> bytes:
        """A request id for a request that has none."""
        self._requests += 1
        return b"%b-%x" % (self._identity, self._requests)

    # Choosing

    def choose(self, text: str) -> Choice:
        """The cluster of a prompt."""
        choice = self.chooser.choose(text, self.experts.loads() if self.chooser.reads_loads else ())
        if self.shadow:
            self._compare(choice, self.shadow.choose(text, ()))
        return choice

    async def choose_in_slices(self, text: str, *, explain: bool) -> tuple[Choice, bytes]:
        """The cluster of a long prompt, while others' answers go on, and why on request."""
        reason = b""
        if explain:
            choice, reason = await self.chooser.explain(text, self.experts.loads())
        else:
            choice = await self.chooser.choose_long(text, self.experts.loads())
        if self.shadow:
            self._compare(choice, await self.shadow.choose_long(text, ()))
        return choice, reason

    def _compare(self, choice: Choice, in_shadow: Choice) -> None:
        self.counts.event("shadow_same" if in_shadow[0] == choice[0] else "shadow_other")

    def ended(self, exchange: Exchange, request: Request) -> None:
        """A request is over."""
        self.exchanges.discard(exchange)
        if request.reserved:
            self.release(request)
        if self.settings.access_log:
            self.log.add(access_log.routed(exchange, request))

    def log_unrouted(
        self, client: Client, path: bytes, identity: bytes, status: int, cause: str = ""
    ) -> None:
        """A request is over that no expert was to get."""
        if self.settings.access_log:
            self.log.add(access_log.unrouted(client, path, identity, status, cause))

    # Time

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run beside the rest."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def coalesce(self) -> None:
        """With many answers at once, wake up for several tokens together."""
        busy = len(self.exchanges) >= self.settings.coalesce_streams
        if busy and self.settings.coalesce_s and not self._napping:
            self._napping = True
            asyncio.get_running_loop().call_soon(self._nap)

    def _nap(self) -> None:
        if len(self.exchanges) < self.settings.coalesce_streams // 2:
            self._napping = False
            return
        time.sleep(self.settings.coalesce_s)
        asyncio.get_running_loop().call_soon(self._nap)

    async def drain(self) -> None:
        """Take no new connection, let answers end, and cut those that take too long."""
        self.draining = True
        for connected in list(self.clients):
            if connected.phase == reading.IDLE:
                connected.close()
        if self.exchanges:
            waiting = count_of(len(self.exchanges), "request")
            say(f"er.gateway: draining {waiting}, up to {self.timeouts.drain_s:g} s")
        deadline_s = time.monotonic() + self.timeouts.drain_s
        while self.exchanges and time.monotonic() < deadline_s:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        for exchange in list(self.exchanges):
            endings.cut_short(exchange, "draining", "was cut off: the gateway stops")
        for _ in range(50):  # what is written is to reach the clients
            if not self.clients:
                break
            await asyncio.sleep(0.02)
        for connected in list(self.clients):
            connected.abort()
        for replica in self.experts.replicas:
            replica.close_idle()
        self.leaving.close()
        await self.log.close(LOG_END_S)


def _too_many(count: int, whose: str, limit: str) -> Refusal:
    message = f"{count} connections{whose} are open, as many as may be ({limit})"
    return Refusal(503, "connections", message, retry_s=1)
