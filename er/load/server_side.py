"""What the server itself counts while a point runs, beside what its users saw."""

import re
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

from er.results.request import Endpoint

TIMEOUT_S = 2.0
SAMPLE = re.compile(r"^(nv_inference_\w+)\{.*\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Counters:
    """Triton's own counters, of all models of the servers together, since they were started.

    Requests of others to these servers are counted too. Source of the names: Triton's user guide,
    Metrics (nv_inference_request_success and others; durations are in microseconds).
    """

    succeeded: float = 0.0
    failed: float = 0.0
    queue_s: float = 0.0  # that requests waited in Triton's queue, all together

    def since(self, before: "Counters") -> dict[str, float]:
        """What was counted after `before`, as evidence of a point; mean time queued in seconds."""
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
    """The counters of the servers of `endpoints`; None where one of them has none."""
    totals: dict[str, float] = {}
    for url in {endpoint.metrics_url for endpoint in endpoints}:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
                metrics_text = response.read().decode()
        except (OSError, ValueError):
            return None
        for name, value in SAMPLE.findall(metrics_text):
            totals[name] = totals.get(name, 0.0) + float(value)
    if "nv_inference_request_success" not in totals:
        return None
    return Counters(
        totals["nv_inference_request_success"],
        totals.get("nv_inference_request_failure", 0.0),
        totals.get("nv_inference_queue_duration_us", 0.0) / 1e6,
    )
