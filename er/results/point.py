"""A measured point: computed from its requests, and judged valid or not."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from er.config import Arrivals, Load
from er.results import window
from er.results.quantiles import BATCH, BATCHES_AT_LEAST, MISSING, Summary, summarise, transient
from er.results.request import Request
from er.results.words import as_different, count_of

__all__ = ["MISSING", "Point", "Summary", "describe_invalid", "measure", "summarise"]

LITTLE_AT_MOST = 0.05  # accepted deviation from Little's law, as a share
LATENCIES_AT_LEAST = 2  # mean response times that a steady window has to last


@dataclass(frozen=True)
class Point:
    """One concurrency of one deployment, from its measured requests; failed ones only count.

    In a closed loop, `tokens_per_s` and `requests_per_s` are what arrives and what ends, of any
    request, in the steady window, while all users are in flight: from the first measured request's
    sending to the last one's end. Otherwise they are of the measured requests that were answered,
    from the first send to the last end. `duration_s` is the length of that time.

    `little_ratio` is 1 where Little's law holds in the window (J. Little, A Proof for the Queuing
    Formula L = lambda W, 1961): throughput in requests x mean E2E latency, and think time, over the
    users. `goodput` is the share of requests that kept both limits of the load,
    load.ttft_at_most_s and load.tpot_at_most_s; failed ones have not (the attainment of DistServe,
    arXiv 2401.09670).
    """

    concurrency: int
    requests: int
    errors: int
    invalid: list[str]  # reasons not to believe the point; empty when it is valid
    duration_s: float
    tokens_per_s: float
    requests_per_s: float
    input_tokens_mean: float
    output_tokens_mean: float
    ttft_s: Summary
    tpot_s: Summary
    itl_s: Summary
    e2e_s: Summary
    token_lateness_p50: float  # share of an engine step; NaN when the engine reports none
    experts: dict[str, int] = field(default_factory=dict)  # number of requests by expert
    error_causes: dict[str, int] = field(default_factory=dict)  # number of failed requests by cause
    client: dict[str, float] = field(default_factory=dict)  # evidence about the load generator
    # TTFT since the time at which requests should have been sent.
    ttft_intended_s: Summary = field(default_factory=Summary)
    goodput: float = MISSING
    cut_requests: int = 0  # in the transient before the steady state; not part of the point
    steady_since_s: float = MISSING  # first send after that transient, on the requests' clock
    # Requests in flight, unmeasured ones too: the mean of each of 100 bins of equal length, from
    # the first send to the last end.
    in_flight: list[float] = field(default_factory=list)
    in_flight_bin_s: float = MISSING
    # Of a predicted point only: lower and upper bound of the prediction, by quantity (`ttft_s.p50`,
    # `tokens_per_s`...). Measured points have confidence intervals of their quantiles instead.
    predicted_interval: dict[str, list[float]] = field(default_factory=dict)
    short_answers: int = 0  # with fewer tokens than max_tokens
    long_answers: int = 0  # with more
    window_from_s: float = MISSING  # start of the window of duration_s, since the first send
    little_ratio: float = MISSING  # in a closed loop
    reasoning_tokens_mean: float = 0.0  # output tokens that are not part of the answer
    # From sending to the first token of the answer itself; equals TTFT without reasoning tokens.
    answer_ttft_s: Summary = field(default_factory=Summary)
    notes: list[str] = field(default_factory=list)  # remarks that do not make the point invalid


def describe_invalid(points: Sequence[Point]) -> str:
    """How many points are invalid, and why the first one is; empty without points."""
    if not points:
        return ""
    first = points[0]
    count = count_of(len(points), "invalid point")
    return f"{count}: {count_of(first.concurrency, 'user')}: {first.invalid[0]}"


def measure(
    requests: Sequence[Request],
    concurrency: int,
    load: Load,
    doubts: Sequence[str] = (),
    client: dict[str, float] | None = None,
) -> Point:
    """Compute the point of this concurrency from all its requests, warm-up and cool-down included.

    `doubts` are further reasons to call the point invalid; `client` is the evidence about the load
    generator that is stored with it.
    """
    counted = [request for request in requests if request.measured]
    steady_since_s, unsteady = _steady_since_s(counted) if load.steady_state else (MISSING, [])
    measured = [request for request in counted if not request.send_s < steady_since_s]
    in_flight, bin_s = window.in_flight(np.array([(r.send_s, r.end_s) for r in requests]))
    good = [request for request in measured if request.ok]
    closed = load.arrivals is Arrivals.closed_loop
    steady = window.in_which_all_are_busy(measured, requests) if closed else window.of(good)
    counting = requests if closed else good
    lateness = [late for request in good for late in request.token_lateness]
    point = Point(
        concurrency=concurrency,
        requests=len(measured),
        errors=len(measured) - len(good),
        invalid=[],
        client=client or {},
        duration_s=steady.length_s,
        tokens_per_s=steady.tokens(counting) / steady.length_s if steady.length_s else 0.0,
        requests_per_s=steady.ends(counting) / steady.length_s if steady.length_s else 0.0,
        input_tokens_mean=_mean([request.input_tokens for request in good]),
        output_tokens_mean=_mean([request.output_tokens for request in good]),
        ttft_s=summarise([request.ttft_s for request in good]),
        reasoning_tokens_mean=_mean([request.reasoning_tokens for request in good]),
        answer_ttft_s=summarise([r.first_answer_s - r.send_s for r in good if r.first_answer_s]),
        ttft_intended_s=summarise([request.ttft_intended_s for request in good]),
        tpot_s=summarise([r.tpot_s for r in good if r.output_tokens > 1]),
        itl_s=summarise([gap for r in good for gap in np.diff(r.token_times_s)], independent=False),
        e2e_s=summarise([request.e2e_s for request in good]),
        token_lateness_p50=float(np.median(lateness)) if lateness else MISSING,
        experts=_counts([str(r.expert) for r in measured if r.expert >= 0]),
        error_causes=_counts([r.error or "no tokens" for r in measured if not r.ok]),
        goodput=_goodput(measured, load),
        cut_requests=len(counted) - len(measured),
        steady_since_s=steady_since_s,
        in_flight=in_flight,
        in_flight_bin_s=bin_s,
        short_answers=sum(r.output_tokens < r.max_tokens for r in good),
        long_answers=sum(r.output_tokens > r.max_tokens for r in good),
        window_from_s=steady.from_s - min(r.send_s for r in requests) if good else MISSING,
    )
    point = replace(point, little_ratio=little_ratio(point, load))
    if point.cut_requests:
        point.notes.append(
            f"{count_of(point.cut_requests, 'request')} before the steady state left out "
            f"(load.steady_state)"
        )
    point.invalid.extend([*doubts_of(point, load), *unsteady, *doubts])
    return point


def doubts_of(point: Point, load: Load) -> list[str]:
    """The reasons, if any, why a point's own figures make it invalid, measured or predicted."""
    doubts = []
    if point.errors:
        causes = ", ".join(f"{count} x {cause}" for cause, count in point.error_causes.items())
        doubts.append(f"{point.errors} of {count_of(point.requests, 'request')} failed ({causes})")
    if point.requests and point.requests == point.errors:
        return doubts  # a point without answers has no other figures
    if point.requests + point.cut_requests < load.requests_at_least:
        doubts.append(
            f"only {count_of(point.requests, 'request')}, load.requests_at_least is "
            f"{load.requests_at_least}"
        )
    cycle_s = load.think_time_s + point.e2e_s.mean
    if load.arrivals is Arrivals.closed_loop and point.duration_s < LATENCIES_AT_LEAST * cycle_s:
        lasts, least = as_different(point.duration_s, LATENCIES_AT_LEAST * cycle_s, 3, "g")
        doubts.append(
            f"the steady window lasts {lasts} s, less than {LATENCIES_AT_LEAST} mean response "
            f"times, {least} s: raise load.requests_per_user or load.duration_s"
        )
    elif not point.errors and abs(point.little_ratio - 1) > LITTLE_AT_MOST:
        limit = 1 + (LITTLE_AT_MOST if point.little_ratio > 1 else -LITTLE_AT_MOST)
        share, most = as_different(point.little_ratio * 100, limit * 100)
        doubts.append(
            f"Little's law is broken: {share}% of the {count_of(point.concurrency, 'user')} follow "
            f"from throughput and response times (at {'most' if limit > 1 else 'least'} {most}%): "
            "measure longer (load.requests_per_user)"
        )
    if point.token_lateness_p50 > load.max_token_lateness:
        late, most = as_different(point.token_lateness_p50 * 100, load.max_token_lateness * 100, 0)
        doubts.append(
            f"the engine could not keep its clock: tokens late by {late}% of a step at the median "
            f"(at most {most}%): use fewer users"
        )
    return doubts


def little_ratio(point: Point, load: Load) -> float:
    """Users by Little's law, from throughput and response times, as a share of the actual users.

    NaN without answers and for other arrivals than a closed loop. Requests per second are tokens
    per second over the mean length of an answer: tokens also count answers that the window cuts.
    """
    if load.arrivals is not Arrivals.closed_loop or not point.output_tokens_mean:
        return MISSING
    requests_per_s = point.tokens_per_s / point.output_tokens_mean
    return requests_per_s * (point.e2e_s.mean + load.think_time_s) / point.concurrency


def _steady_since_s(counted: Sequence[Request]) -> tuple[float, list[str]]:
    """When the first request of the steady state was sent; NaN with a reason when there is none.

    Both TTFT and TPOT must have become steady, in order of sending.
    """
    good = sorted((r for r in counted if r.ok), key=lambda request: request.send_s)
    if len(good) < BATCH * BATCHES_AT_LEAST:
        return MISSING, [
            f"{len(good)} requests are too few to tell a steady state: measure "
            f"{BATCH * BATCHES_AT_LEAST} or more, or set load.steady_state=false"
        ]
    ttft = transient([request.ttft_s for request in good])
    several = [request for request in good if request.output_tokens > 1]
    tpot = transient([r.tpot_s for r in several]) if len(several) == len(good) else 0
    if ttft is None or tpot is None:
        name = "TTFT" if ttft is None else "TPOT"
        return MISSING, [
            f"no steady state: {name} still drifts in the second half of the requests: "
            "measure longer (load.duration_s or load.requests_per_user)"
        ]
    return good[max(ttft, tpot)].send_s, []


def _goodput(measured: Sequence[Request], load: Load) -> float:
    kept = sum(
        request.ok
        and not request.ttft_s > load.ttft_at_most_s
        and not request.tpot_s > load.tpot_at_most_s
        for request in measured
    )
    return kept / len(measured) if measured else MISSING


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else MISSING


def _counts(names: Sequence[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
