"""Evidence that the load generator itself did not limit a point."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from er.config import Load, LoadClient
from er.load import counts
from er.load.effort import PointLoad
from er.results import window
from er.results.request import Request
from er.results.words import as_different

NO_DATA = float("nan")
TOGETHER_AT_MOST = 0.01  # share of the tokens: fewer do not change a 99th percentile


@dataclass(frozen=True)
class Proof:
    """What distinguishes a sound load generator from one that measures itself; NaN if unknown."""

    # Mean number of requests in flight, as a share of the users, if users never pause.
    in_flight_share: float
    send_delay_p50_s: float  # from when a request was due until it was sent
    send_delay_p99_s: float
    loop_lag_p50_s: float  # wait, from a random moment, until the event loop is free
    loop_lag_p99_s: float
    read_delay_p50_s: float  # from the kernel's receive stamp to the read
    read_delay_p99_s: float
    together_share: float  # share of the tokens that arrived in one piece with the one before
    cpu_share: float  # CPU seconds of the load generator per second: 1 is one core
    cpu_us_per_token: float
    processes: int
    peak_rss_bytes: int


def prove(point: PointLoad, concurrency: int) -> Proof:
    """The evidence of one point of `concurrency` users."""
    tokens = sum(request.output_tokens for request in point.requests)
    delays_s = [request.send_s - request.intended_s for request in point.requests]
    return Proof(
        in_flight_share=in_flight_share(point.requests, concurrency) if point.busy else NO_DATA,
        send_delay_p50_s=_quantile(delays_s, 50),
        send_delay_p99_s=_quantile(delays_s, 99),
        loop_lag_p50_s=lag_s(point.loop_lags_s, 0.50, point.processes * point.wall_s),
        loop_lag_p99_s=lag_s(point.loop_lags_s, 0.99, point.processes * point.wall_s),
        read_delay_p50_s=_quantile(point.read_delays_s, 50),
        read_delay_p99_s=_quantile(point.read_delays_s, 99),
        together_share=counts.together_share(point.requests),
        cpu_share=point.cpu_s / point.wall_s if point.wall_s else NO_DATA,
        cpu_us_per_token=point.cpu_s / tokens * 1e6 if tokens else NO_DATA,
        processes=point.processes,
        peak_rss_bytes=point.peak_rss_bytes,
    )


def doubts(proof: Proof, load: Load) -> list[str]:
    """Reasons, each with a fix, not to believe a point of this load generator.

    A lag is a reason when it can have changed a number. With the kernel's receive stamps, that is
    when late reads found several tokens together, which then have the stamp of the last one;
    without stamps, every lag counts. Requests that a lag delayed show in the share of users in
    flight, or as late sends.
    """
    reasons = []
    delays = []
    if math.isnan(proof.read_delay_p99_s) or proof.together_share > TOGETHER_AT_MOST:
        delays.append(("the load generator lagged", proof.loop_lag_p99_s))
    if not load.always_busy:  # otherwise the share in flight shows it
        delays.append(("requests left late", proof.send_delay_p99_s))
    for problem, p99_s in delays:
        if p99_s > load.max_loop_lag_s:
            lag_ms, most_ms = as_different(p99_s * 1e3, load.max_loop_lag_s * 1e3)
            reasons.append(
                f"{problem}: {lag_ms} ms at the 99th percentile "
                f"(at most {most_ms} ms): {_suggest_fix(load)}"
            )
    if proof.in_flight_share < load.min_concurrency:
        share, least = as_different(proof.in_flight_share * 100, load.min_concurrency * 100)
        reasons.append(
            f"only {share}% of the users were in flight (at least {least}%): {_suggest_fix(load)}"
        )
    return reasons


def in_flight_share(requests: Sequence[Request], concurrency: int) -> float:
    """Mean requests in flight in the steady window, as a share of `concurrency`; NaN if empty."""
    measured = [request for request in requests if request.measured]
    steady = window.in_which_all_are_busy(measured, requests)
    return window.mean_in_flight(requests, steady) / concurrency


def lag_s(stalls_s: Sequence[float], share: float, span_s: float) -> float:
    """The quantile `share` of the wait at a random moment of `span_s`, in seconds.

    A stall of L seconds delays everything that arrives in these L seconds, the first by all of L.
    If each stall counted once, a long one would vanish among many short turns: the coordinated
    omission of lag monitors (G. Tene, HdrHistogram). Waits above x last sum(max(0, L - x)) in
    total; the result is the x for which that is (1 - share) * span_s. NaN without stalls.
    """
    if not len(stalls_s):
        return NO_DATA
    longest_first = np.sort(stalls_s)[::-1]
    counts = np.arange(1, len(longest_first) + 1)
    waits_s = (np.cumsum(longest_first) - (1 - share) * span_s) / counts
    return max(0.0, float(waits_s.max()))


def _suggest_fix(load: Load) -> str:
    if load.client is LoadClient.aiohttp:
        return "set load.client=sockets, or use fewer users"
    if load.client is LoadClient.grpc:
        return "use fewer users, or HTTP with load.client=sockets"
    return f"use more load.workers (now {load.workers}), free cores or another node, or fewer users"


def _quantile(values: Sequence[float], percentile: float) -> float:
    return float(np.percentile(values, percentile)) if len(values) else math.nan
