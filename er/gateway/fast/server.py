"""The data plane's state: experts, clients, requests under way, and who ends the late ones."""

import asyncio
import os
import resource
import socket
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from er.config import FastGateway
from er.errors import ErError
from er.gateway import counts as slots
from er.gateway.choosers import Choice, Chooser
from er.gateway.counts import Counts
from er.gateway.fast import access_log, client, control, probe
from er.gateway.fast.client import Client
from er.gateway.fast.exchange import QUEUED, Exchange
from er.gateway.fast.replica import OPENAI, Replica
from er.gateway.fast.request import REQUEST_ID, Refusal, Request
from er.gateway.fast.routes import ROUTES
from er.gateway.keys import Keys

SWEEP_S = 0.25
BACKLOG = 65535
SLICE_LETTERS = 16384
SPARE_DESCRIPTORS = 64


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
        self.slice_letters = SLICE_LETTERS
        self.now_s = time.monotonic()  # as of the last sweep
        self.clusters: list[list[Replica]] = []
        self.replicas: list[Replica] = []
        for cluster, urls in enumerate(experts):
            self.clusters.append([])
            for url in urls:
                self.add_replica(cluster, url)
        self._clients: set[Client] = set()
        self._by_peer: dict[str, int] = {}
        self._exchanges: set[Exchange] = set()
        self._queues: list[deque[Exchange]] = [deque() for _ in self.clusters]
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reserved = 0  # bytes of bodies
        self._napping = False
        self.shadow: Chooser | None = None  # its decisions are counted, not used
        self.router_file = ""
        self.keys = Keys({})
        self._identity = os.urandom(6).hex().encode()
        self._requests = 0
        self._log: list[str] = []
        self.others: list[socket.socket] = []  # to the other processes of this gateway
        self.tell_chooser(chooser)

    def tell_chooser(self, chooser: Chooser) -> None:
        """Choose by this one from now on."""
        self.chooser = chooser
        self.own_headers = f"x-er-policy: {self.policy}\r\n".encode()
        if chooser.digest:
            self.own_headers += f"x-er-router: {chooser.digest}\r\n".encode()

    def add_replica(self, cluster: int, url: str) -> Replica:
        """One more address for a cluster."""
        replica = Replica(len(self.replicas), cluster, url)
        self.replicas.append(replica)
        self.clusters[cluster].append(replica)
        return replica

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

    def handle(self, client: Client, request: Request) -> None:
        """Answer one request."""
        identity = request.header(b"x-request-id")
        if not REQUEST_ID.match(identity):
            self._requests += 1
            identity = b"%b-%x" % (self._identity, self._requests)
        request.identity = identity
        route = None if client.admin else ROUTES.get(request.path)
        if route is None or request.method != b"POST":
            control.handle(self, client, request, known=route is not None)
            return
        exchange = Exchange(self, client, request, route)
        client.exchange = exchange
        self._exchanges.add(exchange)
        try:
            exchange.start()
        except Refusal as refusal:
            exchange.refuse(refusal)

    # Choosing

    def choose(self, text: str) -> Choice:
        """The cluster of a prompt."""
        choice = self.chooser.choose(text, self.loads() if self.chooser.reads_loads else ())
        if self.shadow:
            same = self.shadow.choose(text, ())[0] == choice[0]
            self.counts.event("shadow_same" if same else "shadow_other")
        return choice

    async def choose_in_slices(self, text: str) -> Choice:
        """The cluster of a long prompt, while others' answers go on."""
        return await self.chooser.choose_long(text, self.loads())

    def loads(self) -> list[float]:
        """Requests in flight at each cluster over all processes; infinite where none is usable."""
        return [
            min((self._load(replica) for replica in replicas if replica.usable), default=1e9)
            for replicas in self.clusters
        ]

    def _load(self, replica: Replica) -> float:
        return self.counts.total(slots.IN_FLIGHT + replica.slot)

    # Placing

    def place(self, exchange: Exchange) -> None:
        """Send a request to its expert, let it wait, or raise Refusal."""
        cluster, margin, second = exchange.choice
        replica = self._free(cluster)
        if replica:
            exchange.ask(replica)
            return
        if not any(replica.usable for replica in self.clusters[cluster]):
            gone = Refusal(503, "unreachable", f"expert {cluster} cannot be reached", retry_s=1)
            self.place_elsewhere(exchange, gone)
            return
        if margin < self.settings.spill_margin and (other := self._free(second)):
            self.counts.event("spilled")
            exchange.ask(other)
            return
        queue = self._queues[cluster]
        if len(queue) >= self.settings.queue_at_most:
            raise Refusal(
                429, "overload", f"expert {cluster} has as many requests as it may", retry_s=1
            )
        exchange.state, exchange.seen_s = QUEUED, self.now_s
        queue.append(exchange)
        self.counts.row[slots.QUEUED + cluster] = len(queue)

    def place_elsewhere(self, exchange: Exchange, refusal: Refusal) -> None:
        """Send a request to another replica, the second best expert or the least loaded one.

        Raises `refusal` when there is none, or when no retries are wanted.
        """
        if not self.settings.retries:
            raise refusal
        cluster, _, second = exchange.choice
        others = sorted(range(len(self.clusters)), key=lambda other: self.loads()[other])
        for candidate in dict.fromkeys((cluster, second, *others)):
            replica = self._free(candidate, exchange.tried)
            if replica:
                self.counts.event("retries_elsewhere")
                exchange.ask(replica)
                return
        raise refusal

    def _free(self, cluster: int, tried: Sequence[Replica] = ()) -> Replica | None:
        """The least loaded replica of a cluster that may take one more request."""
        best, least = None, float(self.settings.in_flight_at_most)
        for replica in self.clusters[cluster]:
            if replica.usable and replica not in tried:
                load = self._load(replica)
                if load < least:
                    best, least = replica, load
        return best

    def freed(self, replica: Replica) -> None:
        """A place has become free: the first that waits for it takes it."""
        queue = self._queues[replica.cluster]
        while queue and self._free(replica.cluster):
            waiting = queue.popleft()
            self.counts.row[slots.QUEUED + replica.cluster] = len(queue)
            self.place(waiting)

    def unqueue(self, exchange: Exchange) -> None:
        """A request waits no longer."""
        queue = self._queues[exchange.choice[0]]
        if exchange in queue:
            queue.remove(exchange)
            self.counts.row[slots.QUEUED + exchange.choice[0]] = len(queue)

    def failed(self, replica: Replica) -> None:
        """An expert has not answered as it should."""
        self.counts.row[slots.FAILURES + replica.slot] += 1
        settings = self.settings
        replica.fail(self.now_s, settings.breaker_failures, settings.breaker_open_s)

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
        """Look for what takes too long, and for experts to be proved ready again."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self.now_s = time.monotonic()
            for connected in list(self._clients):
                connected.sweep(self.now_s)
            for exchange in list(self._exchanges):
                exchange.sweep(self.now_s)
            for replica in self.replicas:
                replica.close_idle(self.now_s - self.timeouts.keepalive_s)
                if replica.probe_at_s and not replica.probing and self.now_s >= replica.probe_at_s:
                    self.spawn(self._probe(replica))
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
            replica.probe_at_s = self.now_s + self.settings.breaker_open_s
        else:
            replica.failures, replica.probe_at_s = 0, 0.0
            self.freed(replica)

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
            if connected.phase == client.IDLE:
                connected.close()
        deadline_s = time.monotonic() + self.timeouts.drain_s
        while self._exchanges and time.monotonic() < deadline_s:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        for exchange in list(self._exchanges):
            exchange.stop()
        for _ in range(50):  # what is written is to reach the clients
            if not self._clients:
                break
            await asyncio.sleep(0.02)
        for connected in list(self._clients):
            connected.abort()
        for replica in self.replicas:
            replica.close_idle()
        self.write_log()


@asynccontextmanager
async def listening(server: Server, host: str, port: int) -> AsyncIterator[int]:
    """Serve for as long as the block lasts, then drain; the port that was opened.

    Raises ErError when the port cannot be opened.
    """
    loop = asyncio.get_running_loop()
    try:
        opened = await loop.create_server(
            client.protocol(server),
            host,
            port,
            backlog=BACKLOG,
            reuse_port=server.reuses_port,
            ssl=tls_context(server.settings),
        )
        administration = (
            await loop.create_server(
                client.protocol(server, admin=True), "127.0.0.1", server.settings.admin_port
            )
            if server.settings.admin_port and server.counts.process == 0
            else None
        )
    except OSError as error:
        raise port_error(host, port, error) from error
    sweeping = loop.create_task(server.sweep_for_ever())
    for replica in server.replicas:
        if replica.dialect == OPENAI:
            server.spawn(probe.discover_model(replica, server.timeouts.probe_s))
    try:
        yield opened.sockets[0].getsockname()[1]
    finally:
        opened.close()
        if administration:
            administration.close()
        await server.drain()
        sweeping.cancel()


def port_error(host: str, port: int, error: OSError) -> ErError:
    """What a user is told about a port that cannot be opened."""
    why = error.strerror or os.strerror(error.errno or 0)
    return ErError(
        f"port {port} of {host} cannot be opened ({why}): stop what uses it, or choose another"
    )


def tls_context(settings: FastGateway) -> ssl.SSLContext | None:
    """What speaks TLS to clients; None without a certificate. Raises ErError for a bad one."""
    if not settings.tls_certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ErError(
            f"gateway.tls_certificate {settings.tls_certificate} and gateway.tls_key cannot be "
            f"used: {error.strerror or error}"
        ) from error
    return context


def raise_descriptor_limit(settings: FastGateway) -> None:
    """Allow two descriptors for each connection. Raises ErError when the system allows fewer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * settings.in_flight_at_most + SPARE_DESCRIPTORS
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ErError(
            f"{settings.in_flight_at_most} requests in flight need {needed} open files, the system "
            f"allows {hard}: raise it (ulimit -Hn), or lower gateway.in_flight_at_most"
        )
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
