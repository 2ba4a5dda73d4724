"""The window of time over which throughput is counted, and the number of requests in flight."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from er.results.quantiles import MISSING
from er.results.request import Request

Seconds = npt.NDArray[np.float64]
IN_FLIGHT_BINS = 100


@dataclass(frozen=True)
class Window:
    """A time span on the clock of the requests; it contains its end, but not its start."""

    from_s: float
    until_s: float

    @property
    def length_s(self) -> float:
        """Its length in seconds."""
        return self.until_s - self.from_s

    def tokens(self, requests: Sequence[Request]) -> int:
        """Number of tokens that arrive in it."""
        return self._within([time_s for request in requests for time_s in request.token_times_s])

    def ends(self, requests: Sequence[Request]) -> int:
        """Number of requests that end without an error in it."""
        return self._within([request.end_s for request in requests if request.ok])

    def _within(self, times_s: Sequence[float]) -> int:
        times = np.asarray(times_s)
        return int(((times > self.from_s) & (times <= self.until_s)).sum())


def of(requests: Sequence[Request]) -> Window:
    """The window from the first send to the last end of `requests`; empty without requests."""
    if not requests:
        return Window(0.0, 0.0)
    return Window(min(r.send_s for r in requests), max(r.end_s for r in requests))


def in_which_all_are_busy(measured: Sequence[Request], requests: Sequence[Request]) -> Window:
    """The window of a closed loop's measured requests, from when every user has begun.

    `requests` are all requests, unmeasured ones too. Without warm-up, users begin with measured
    requests one after the other: a thousand users take tens of milliseconds.
    """
    whole = of(measured)
    begun_s: dict[int, float] = {}
    for request in requests:
        begun_s[request.user] = min(request.send_s, begun_s.get(request.user, request.send_s))
    all_begun_s = max(begun_s.values(), default=whole.from_s)
    return Window(min(max(whole.from_s, all_begun_s), whole.until_s), whole.until_s)


def mean_in_flight(requests: Sequence[Request], steady: Window) -> float:
    """Mean number of these requests in flight in a window; NaN for an empty window."""
    if not steady.length_s:
        return MISSING
    spans = np.clip([(r.send_s, r.end_s) for r in requests], steady.from_s, steady.until_s)
    return float(np.diff(spans).sum()) / steady.length_s


def in_flight(spans_s: Seconds) -> tuple[list[float], float]:
    """The mean number of requests in flight in each bin, and the length of a bin in seconds.

    `spans_s` has the shape (requests, 2): when each was sent and when it ended.
    """
    if not len(spans_s) or spans_s.min() == spans_s.max():
        return [], MISSING
    spans = spans_s - spans_s.min()
    edges_s, bin_s = np.linspace(0, spans.max(), IN_FLIGHT_BINS + 1, retstep=True)
    at_work_s = _since(spans[:, 0], edges_s) - _since(spans[:, 1], edges_s)
    return np.round(np.diff(at_work_s) / bin_s, 3).tolist(), float(bin_s)


def _since(times_s: Seconds, edges_s: Seconds) -> Seconds:
    """At each edge, the sum of the times that have passed since each of `times_s` before it."""
    ordered = np.sort(times_s)
    before = np.searchsorted(ordered, edges_s)
    passed_s: Seconds = edges_s * before - np.concatenate([[0.0], np.cumsum(ordered)])[before]
    return passed_s
