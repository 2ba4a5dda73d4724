"""Sample what servers report about themselves while a point runs: KV cache, batch, processes.

Only servers with TensorRT-LLM's C++ backend have these metrics; for others they are left out.
"""

import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

from er.load.metrics import read_metrics
from er.results.request import Endpoint

INTERVAL_S = 1.0
STUB = "triton_python_backend_stub"
# The backend's gauges, by the label that tells them apart. Source of the names:
# custom_metrics_reporter.cc of triton-inference-server/tensorrtllm_backend at v0.19.0.
GAUGE = re.compile(
    r"^nv_trt_llm_(?:request|kv_cache_block|inflight_batcher)_metrics\{[^}]*"
    r'(request_type|kv_cache_block_type|inflight_batcher_specific_metric)="(\w+)"[^}]*\} (\S+)$',
    re.MULTILINE,
)

Gauges = dict[str, float]


@dataclass
class Watch:
    """Samples of one point."""

    servers: list[list[Gauges]] = field(default_factory=list)  # at each time, of each server
    stub_cpu_s: list[float] = field(default_factory=list)  # CPU seconds of each stub in the point
    span_s: float = 0.0

    def evidence(self) -> dict[str, float]:
        """Evidence of the point; unknown values are left out."""
        return {**self._of_servers(), **self._of_stubs()}

    def _of_servers(self) -> dict[str, float]:
        if not self.servers:
            return {}
        active = [sum(gauges.get("active", 0.0) for gauges in at) for at in self.servers]
        waiting = [sum(gauges.get("waiting", 0.0) for gauges in at) for at in self.servers]
        paused = [sum(gauges.get("paused_requests", 0.0) for gauges in at) for at in self.servers]
        pools = [
            gauges["max"] * gauges["tokens_per"]
            for gauges in self.servers[-1]
            if {"max", "tokens_per"} <= set(gauges)
        ]
        used = [
            gauges["used"] / gauges["max"]
            for at in self.servers
            for gauges in at
            if gauges.get("max") and "used" in gauges
        ]
        known = {
            "server_active_mean": sum(active) / len(active),
            "server_active_max": max(active),
            "server_waiting_mean": sum(waiting) / len(waiting),
            "server_waiting_max": max(waiting),
            "server_paused_max": max(paused),
        }
        if pools:
            known["server_kv_pool_tokens"] = min(pools)  # of the engine with the least
        if used:
            known["server_kv_used_share_max"] = max(used)
        return known

    def _of_stubs(self) -> dict[str, float]:
        if not self.stub_cpu_s or not self.span_s:
            return {}
        return {  # shares of one core: a Python model at 1.0 can do no more
            "server_stub_cpu_share_max": max(self.stub_cpu_s) / self.span_s,
            "server_stub_cpu_share_sum": sum(self.stub_cpu_s) / self.span_s,
        }


@contextmanager
def watch_servers(engines: Sequence[Endpoint]) -> Iterator[Watch]:
    """Watch the servers of `engines`, and this machine, while the block lasts."""
    watch = Watch()
    urls = sorted({engine.metrics_url for engine in engines if engine.metrics_url})
    stubs = stub_times_s() if urls else {}
    stop = threading.Event()
    sampler = threading.Thread(target=sample, args=[watch, urls, stop], daemon=True)
    have_gauges = any(gauges_of(url) for url in urls)
    begin_s = time.monotonic()
    if have_gauges:
        sampler.start()
    try:
        yield watch
    finally:
        stop.set()
        if have_gauges:
            sampler.join()
        watch.span_s = time.monotonic() - begin_s
        after = stub_times_s() if stubs else {}
        watch.stub_cpu_s = [after[pid] - stubs[pid] for pid in stubs if pid in after]


def sample(watch: Watch, urls: Sequence[str], stop: threading.Event) -> None:
    """Add the gauges of every server each INTERVAL_S, until `stop` is set."""
    while True:
        at = [gauges for url in urls if (gauges := gauges_of(url))]
        if at:
            watch.servers.append(at)
        if stop.wait(INTERVAL_S):
            return


def gauges_of(url: str) -> Gauges:
    """The gauges of one server now, by label; empty when it has none."""
    return {name: float(value) for _, name, value in GAUGE.findall(read_metrics(url) or "")}


def stub_times_s() -> dict[int, float]:
    """CPU seconds of every Python model's process on this machine, in a container or not."""
    times_s = {}
    for process in psutil.process_iter():
        try:
            if process.name()[:15] == STUB[:15]:  # the kernel keeps no more of a name
                spent = process.cpu_times()
                times_s[process.pid] = spent.user + spent.system
        except psutil.Error:
            continue
    return times_s
