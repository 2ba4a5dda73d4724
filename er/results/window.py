"""The time of a point that throughput is taken over, and who was in flight."""

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
    """A time on the clock of the requests; what happens at its very beginning is not in it."""

    from_s: float
    until_s: float

    @property
    def length_s(self) -> float:
        """How long it lasts."""
        return self.until_s - self.from_s

    def tokens(self, requests: Sequence[Request]) -> int:
        """Tokens that arrive in it."""
        return self._within([time_s for request in requests for time_s in request.token_times_s])

    def ends(self, requests: Sequence[Request]) -> int:
        """Requests that end well in it."""
        return self._within([request.end_s for request in requests if request.ok])

    def _within(self, times_s: Sequence[float]) -> int:
        times = np.asarray(times_s)
        return int(((times > self.from_s) & (times <= self.until_s)).sum())


def of(requests: Sequence[Request]) -> Window:
    """From the first of these requests' sending to the last one's end; empty without any."""
    if not requests:
        return Window(0.0, 0.0)
    return Window(min(r.send_s for r in requests), max(r.end_s for r in requests))


def in_which_all_are_busy(measured: Sequence[Request], requests: Sequence[Request]) -> Window:
    """Of a closed loop: as `of` these measured ones, once every user of all `requests` has begun.

    Without warm-up the users begin with what is measured, one after the other: a thousand take
    tens of milliseconds.
    """
    whole = of(measured)
    begun_s: dict[int, float] = {}
    for request in requests:
        begun_s[request.user] = min(request.send_s, begun_s.get(request.user, request.send_s))
    all_begun_s = max(begun_s.values(), default=whole.from_s)
    return Window(min(max(whole.from_s, all_begun_s), whole.until_s), whole.until_s)


def mean_in_flight(requests: Sequence[Request], steady: Window) -> float:
    """How many of these requests are in flight on average in a window; NaN in an empty one."""
    if not steady.length_s:
        return MISSING
    spans = np.clip([(r.send_s, r.end_s) for r in requests], steady.from_s, steady.until_s)
    return float(np.diff(spans).sum()) / steady.length_s


def in_flight(spans_s: Seconds) -> tuple[list[float], float]:
    """The mean number of requests in flight in each bin, and a bin's length in seconds.

    `spans_s` is (requests, 2): when each was sent and ended.
    """
    if not len(spans_s) or spans_s.min() == spans_s.max():
        return [], MISSING
    spans = spans_s - spans_s.min()
    edges_s, bin_s = np.linspace(0, spans.max(), IN_FLIGHT_BINS + 1, retstep=True)
    at_work_s = _since(spans[:, 0], edges_s) - _since(spans[:, 1], edges_s)
    return np.round(np.diff(at_work_s) / bin_s, 3).tolist(), float(bin_s)


def _since(times_s: Seconds, edges_s: Seconds) -> Seconds:
    """At each edge: the time that has passed since every one of `times_s` before it, summed."""
    ordered = np.sort(times_s)
    before = np.searchsorted(ordered, edges_s)
    passed_s: Seconds = edges_s * before - np.concatenate([[0.0], np.cumsum(ordered)])[before]
    return passed_s
