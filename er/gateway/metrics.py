"""What is counted, in Prometheus' text format."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from er.gateway import counts as slots
from er.gateway.counts import Counts

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
HISTOGRAM_HELP = {
    "choose": "from the whole request to the choice of its expert",
    "first_byte": "from the whole request to the first byte of the expert's answer",
    "answer": "from the whole request to the end of its answer",
}


class CountedReplica(Protocol):
    """What metrics need to know of a replica."""

    slot: int
    cluster: int


async def exposition(counts: Counts, policy: str, replicas: Sequence[CountedReplica]) -> bytes:
    """All metrics, summed over all processes, with a turn of the event loop after each."""
    texts = []
    for metric in _Collector(counts, policy, replicas).collect():
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_One(metric))
        texts.append(generate_latest(registry))
        await asyncio.sleep(0)
    return b"".join(texts)


class _One(Collector):
    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        """It."""
        yield self._metric


class _Collector(Collector):
    def __init__(self, counts: Counts, policy: str, replicas: Sequence[CountedReplica]) -> None:
        self._counts, self._policy, self._replicas = counts, policy, replicas

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        info = InfoMetricFamily("er_gateway", "how prompts are routed")
        info.add_metric([], {"policy": self._policy})
        yield info
        total = self._counts.total
        clusters = sorted({replica.cluster for replica in self._replicas})
        yield self._by_expert(CounterMetricFamily, "requests", "sent to an expert", slots.REQUESTS)
        yield self._by_expert(GaugeMetricFamily, "in_flight", "requests now", slots.IN_FLIGHT)
        yield self._by_expert(
            CounterMetricFamily, "expert_failures", "attempts that failed", slots.FAILURES
        )
        decisions = CounterMetricFamily(
            "er_gateway_decisions", "prompts by the expert chosen", labels=["expert"]
        )
        queued = GaugeMetricFamily(
            "er_gateway_queued", "requests that wait for a place", labels=["expert"]
        )
        for cluster in clusters:
            decisions.add_metric([str(cluster)], total(slots.DECISIONS + cluster))
            queued.add_metric([str(cluster)], total(slots.QUEUED + cluster))
        yield decisions
        yield queued
        usable = GaugeMetricFamily(
            "er_gateway_usable",
            "share of the gateway's processes that send a replica requests",
            labels=["expert", "replica"],
        )
        for replica in self._replicas:
            share = total(slots.USABLE + replica.slot) / self._counts.processes
            usable.add_metric([str(replica.cluster), str(replica.slot)], share)
        yield usable
        yield self._named("errors", "requests that failed", "cause", slots.CAUSES, slots.CAUSE)
        yield self._named("events", "what happened besides", "event", slots.EVENTS, slots.EVENT)
        clients = GaugeMetricFamily("er_gateway_clients", "open connections of clients")
        clients.add_metric([], total(slots.CLIENTS))
        yield clients
        yield from self._histograms()

    def _by_expert(
        self,
        kind: type[CounterMetricFamily | GaugeMetricFamily],
        name: str,
        meaning: str,
        slot: int,
    ) -> Metric:
        family = kind(f"er_gateway_{name}", meaning, labels=["expert"])
        sums: dict[int, float] = {}
        for replica in self._replicas:
            value = self._counts.total(slot + replica.slot)
            sums[replica.cluster] = sums.get(replica.cluster, 0) + value
        for cluster, value in sorted(sums.items()):
            family.add_metric([str(cluster)], value)
        return family

    def _named(
        self, name: str, meaning: str, label: str, values: Iterable[str], slot: int
    ) -> CounterMetricFamily:
        family = CounterMetricFamily(f"er_gateway_{name}", meaning, labels=[label])
        for place, value in enumerate(values):
            family.add_metric([value], self._counts.total(slot + place))
        return family

    def _histograms(self) -> Iterator[HistogramMetricFamily]:
        for place, name in enumerate(slots.HISTOGRAMS):
            base = slots.HISTOGRAM + place * slots.HISTOGRAM_SLOTS
            buckets, below = [], 0.0
            for at, bound in enumerate((*slots.BUCKETS_S, float("inf"))):
                below += self._counts.total(base + at)
                buckets.append(("+Inf" if bound == float("inf") else str(bound), below))
            family = HistogramMetricFamily(f"er_gateway_{name}_seconds", HISTOGRAM_HELP[name])
            family.add_metric([], buckets, self._counts.total(base + slots.SUM))
            yield family
