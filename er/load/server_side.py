"""Triton's own counters while a point runs, to compare with what the users saw."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from er.load.metrics import read_metrics
from er.results.request import Endpoint

SAMPLE = re.compile(r"^(nv_inference_\w+)\{.*\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Counters:
    """Triton's counters of all models of the servers together, since the servers were started.

    They also count requests of other clients. Source of the names: Triton's user guide,
    Metrics (nv_inference_request_success and others; durations are in microseconds).
    """

    succeeded: float = 0.0
    failed: float = 0.0
    queue_s: float = 0.0  # total time of all requests in Triton's queue

    def since(self, before: "Counters") -> dict[str, float]:
        """Evidence of a point: requests counted after `before`, and their mean queueing time."""
        succeeded = self.succeeded - before.succeeded
        failed = self.failed - before.failed
        requests = succeeded + failed
        queued_s = self.queue_s - before.queue_s
        return {
            "server_succeeded": succeeded,
            "server_failed": failed,
            "server_queue_mean_s": queued_s / requests if requests else float("nan"),
        }


def read(endpoints: Sequence[Endpoint]) -> Counters | None:
    """The sum of the counters of all servers of `endpoints`; None when one of them has none."""
    totals: dict[str, float] = {}
    for url in {endpoint.metrics_url for endpoint in endpoints}:
        text = read_metrics(url)
        if text is None:
            return None
        for name, value in SAMPLE.findall(text):
            totals[name] = totals.get(name, 0.0) + float(value)
    if "nv_inference_request_success" not in totals:
        return None
    return Counters(
        totals["nv_inference_request_success"],
        totals.get("nv_inference_request_failure", 0.0),
        totals.get("nv_inference_queue_duration_us", 0.0) / 1e6,
    )
