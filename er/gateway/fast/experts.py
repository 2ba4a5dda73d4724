"""The experts: which replica takes a request, which requests wait, where failed ones go next."""

import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from er.config import FastGateway
from er.errors import ErError
from er.gateway import counts as slots
from er.gateway.counts import Counts
from er.gateway.fast import endings
from er.gateway.fast.refusal import Refusal
from er.gateway.fast.replica import Replica
from er.gateway.output import say
from er.results.words import count_of

if TYPE_CHECKING:
    from er.gateway.fast.exchange import Exchange


class Experts:
    """For each cluster the replicas that answer its prompts, and a queue."""

    def __init__(
        self, settings: FastGateway, counts: Counts, urls: Sequence[Sequence[str]]
    ) -> None:
        self._settings, self._counts = settings, counts
        self.clusters: list[list[Replica]] = [[] for _ in urls]
        self.replicas: list[Replica] = []
        for cluster, replicas in enumerate(urls):
            for url in replicas:
                self.add_replica(cluster, url)
        self._queues: list[deque[Exchange]] = [deque() for _ in urls]

    def add_replica(self, cluster: int, url: str) -> Replica:
        """One more address for a cluster. Raises ErError when there are too many."""
        for known in self.clusters[cluster]:
            if known.removed and known.url == url:
                known.take_back()
                return known
        if len(self.replicas) == slots.REPLICAS_AT_MOST:
            raise ErError(f"a gateway has had {slots.REPLICAS_AT_MOST} addresses: start another")
        replica = Replica(len(self.replicas), cluster, url)
        self.replicas.append(replica)
        self.clusters[cluster].append(replica)
        return replica

    def count_usable(self) -> None:
        """Let metrics know which replicas get requests."""
        for replica in self.replicas:
            self._counts.row[slots.USABLE + replica.slot] = replica.usable

    def loads(self) -> list[float]:
        """Requests in flight at each cluster over all processes; infinite where none is usable."""
        load = self._counts.total
        return [
            min(
                (load(slots.IN_FLIGHT + each.slot) for each in replicas if each.usable), default=1e9
            )
            for replicas in self.clusters
        ]

    def place(self, exchange: "Exchange") -> None:
        """Send a request to its expert, let it wait, or raise Refusal."""
        cluster, margin, second = exchange.choice
        replica = self._free(cluster)
        if replica:
            exchange.ask(replica)
            return
        if not any(replica.usable for replica in self.clusters[cluster]):
            why = f"expert {cluster} {self._why_unusable(cluster)}"
            gone = Refusal(503, "unreachable", why, retry_s=1)
            self.place_elsewhere(exchange, gone)
            return
        if margin < self._settings.spill_margin and (other := self._free(second)):
            self._counts.event("spilled")
            exchange.ask(other)
            return
        queue = self._queues[cluster]
        if len(queue) >= self._settings.queue_at_most:
            raise Refusal(
                429, "overload", f"expert {cluster} has as many requests as it may", retry_s=1
            )
        exchange.wait()
        queue.append(exchange)
        self._counts.row[slots.QUEUED + cluster] = len(queue)

    def _why_unusable(self, cluster: int) -> str:
        """Why none of a cluster's replicas is sent requests."""
        used = [replica for replica in self.clusters[cluster] if not replica.removed]
        if not used:
            return "has no address"
        return "is drained" if all(each.drained for each in used) else "cannot be reached"

    def place_elsewhere(self, exchange: "Exchange", refusal: Refusal) -> None:
        """Send a request to another replica, the second best expert or the least loaded one.

        Raises `refusal` when there is none, or when no retries are wanted.
        """
        if not self._settings.retries:
            raise refusal
        cluster, _, second = exchange.choice
        others = sorted(range(len(self.clusters)), key=self.loads().__getitem__)
        for candidate in dict.fromkeys((cluster, second, *others)):
            replica = self._free(candidate, exchange.tried)
            if replica:
                self._counts.event("retries_elsewhere")
                exchange.ask(replica)
                return
        raise refusal

    def _free(self, cluster: int, tried: Sequence[Replica] = ()) -> Replica | None:
        """The least loaded replica of a cluster that may take one more request."""
        best, least = None, float(self._settings.in_flight_at_most)
        for replica in self.clusters[cluster]:
            if replica.usable and replica not in tried:
                load = self._counts.total(slots.IN_FLIGHT + replica.slot)
                if load < least:
                    best, least = replica, load
        return best

    def freed(self, replica: Replica) -> None:
        """A place has become free: the first that waits for it takes it."""
        if self._queues[replica.cluster]:
            self._serve_queue(replica.cluster)

    def serve_queues(self) -> None:
        """Place requests for which another process has freed a place, or that wait in vain."""
        for cluster, queue in enumerate(self._queues):
            if queue:
                self._serve_queue(cluster)

    def _serve_queue(self, cluster: int) -> None:
        queue = self._queues[cluster]
        while queue and (
            self._free(cluster) or not any(replica.usable for replica in self.clusters[cluster])
        ):
            waiting = queue.popleft()
            self._counts.row[slots.QUEUED + cluster] = len(queue)
            try:
                self.place(waiting)
            except Refusal as refusal:
                endings.refuse(waiting, refusal)

    def unqueue(self, exchange: "Exchange") -> None:
        """A request waits no longer."""
        queue = self._queues[exchange.choice[0]]
        if exchange in queue:
            queue.remove(exchange)
            self._counts.row[slots.QUEUED + exchange.choice[0]] = len(queue)

    def failed(self, replica: Replica) -> None:
        """An expert has not answered as it should."""
        self._counts.row[slots.FAILURES + replica.slot] += 1
        settings = self._settings
        if replica.fail(time.monotonic(), settings.breaker_failures, settings.breaker_open_s):
            say(
                f"er.gateway: expert {replica.cluster} ({replica.url}) gets no requests after "
                f"{count_of(replica.failures, 'failure')}, until it answers an inference",
                sys.stderr,
            )
