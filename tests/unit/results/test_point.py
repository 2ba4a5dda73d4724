"""How a point is computed from requests, and when it is invalid."""

import math
from dataclasses import replace

import pytest

from er.config import Arrivals, Load
from er.results.point import measure, summarise
from er.results.request import Request

LOAD = Load(
    name="test",
    concurrency=[1],
    requests_per_user=1,
    requests_at_least=2,
    warmup_requests_per_user=0,
    request_timeout_s=1,
    gateway_probes=0,
    max_token_lateness=0.1,
    max_loop_lag_s=0.01,
    arrivals=Arrivals.open_loop,  # whose requests need not follow each other
)
CLOSED = replace(LOAD, arrivals=Arrivals.closed_loop)


def request(send_s: float = 0.0, tokens: int = 3, **changes: object) -> Request:
    """A good request: first token after 1 s, then one every 0.5 s, ending with the last."""
    times = [send_s + 1 + 0.5 * i for i in range(tokens)]
    made = Request(
        concurrency=1,
        user=0,
        index=0,
        warmup=False,
        topic="t",
        input_tokens=10,
        max_tokens=tokens,
        send_s=send_s,
        token_times_s=times,
        end_s=times[-1] if times else send_s,
        status=200,
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_latencies_of_a_request_follow_their_definitions() -> None:
    made = request(send_s=5.0)
    assert (made.ttft_s, made.e2e_s, made.tpot_s) == (1.0, 2.0, 0.5)
    assert math.isnan(request(tokens=1).tpot_s)


def test_a_point_is_made_of_measured_requests_only() -> None:
    point = measure([request(warmup=True, send_s=-9), request(0), request(2)], 1, LOAD)
    assert point.invalid == []
    assert (point.requests, point.errors, point.duration_s) == (2, 0, 4.0)
    assert (point.tokens_per_s, point.requests_per_s) == (1.5, 0.5)
    assert point.itl_s.count == 4
    assert point.ttft_s.p50 == 1.0


def test_throughput_of_a_closed_loop_is_what_arrives_while_all_users_are_in_flight() -> None:
    warmup = [request(-2, warmup=True), request(-1.5, user=1, warmup=True)]
    measured = [request(0), request(0.5, user=1), request(2), request(4)]
    cooldown = [request(2.5, user=1, cooldown=True), request(4.5, user=1, cooldown=True)]
    point = measure([*warmup, *measured, *cooldown], 2, CLOSED)
    assert point.invalid == []
    assert (point.requests, point.duration_s, point.window_from_s) == (4, 6.0, 2.0)
    # All 3 of each measured one; 1 and 1.5 of warm-up and cool-down lie beside the window.
    assert point.tokens_per_s == pytest.approx((12 + 1 + 3 + 2) / 6)
    assert point.requests_per_s == pytest.approx(6 / 6)
    assert point.little_ratio == pytest.approx(1.0)
    in_flight = [1] * 6 + [2] * 88 + [1] * 6  # from -2 s to 6.5 s; users 0.5 s apart
    assert point.in_flight == pytest.approx(in_flight, abs=0.2)


def test_throughput_of_a_closed_loop_is_counted_once_every_user_has_begun() -> None:
    first, late = request(0.0, 9), replace(request(2.0, 9), user=1)
    point = measure([first, late], 2, CLOSED)
    assert (point.window_from_s, point.duration_s) == (2.0, 5.0)
    assert point.tokens_per_s == pytest.approx((6 + 9) / 5)
    never = measure([first, replace(late, send_s=9.0, end_s=5.0)], 2, CLOSED)
    assert (never.duration_s, never.tokens_per_s) == (0.0, 0.0)
    assert never.invalid


def test_a_point_that_breaks_littles_law_is_doubted() -> None:
    alone = [request(2 * i) for i in range(4)]
    assert measure(alone, 1, CLOSED).invalid == []
    [reason] = measure(alone, 2, CLOSED).invalid
    assert reason.startswith("Little's law is broken: 50.0% of the 2 users")
    thinking = [request(3 * i) for i in range(4)]
    assert "Little's law" in " ".join(measure(thinking, 1, CLOSED).invalid)
    # 12 tokens in 11 s, of which the last second is another user's.
    point = measure(thinking, 1, replace(CLOSED, think_time_s=1.0))
    assert point.little_ratio == pytest.approx(12 / 11)


def test_a_window_too_short_to_be_steady_is_told() -> None:
    [reason] = measure([request(), request()], 2, CLOSED).invalid
    assert reason.startswith("the steady window lasts 2 s, less than 2 mean response times, 4 s")
    assert measure([request(), request()], 2, LOAD).invalid == []


def test_gaps_are_pooled_over_requests() -> None:
    long = request(tokens=101)
    short = request()
    short.token_times_s = [1.0, 11.0]
    point = measure([long, short], 1, LOAD)
    assert point.itl_s.count == 101
    assert point.itl_s.max == 10.0
    assert point.itl_s.p50 == 0.5


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ([request(), request(error="reset", token_times_s=[])], "1 of 2 requests failed"),
        ([request(), request(tokens=0)], "1 x no tokens"),
        ([request()], "only 1 request,"),
        ([], "only 0 requests"),
        ([request(token_lateness=[0.2] * 3)] * 2, "could not keep its clock"),
    ],
)
def test_a_doubtful_point_is_invalid(requests: list[Request], message: str) -> None:
    assert message in " ".join(measure(requests, 1, LOAD).invalid)


def test_answers_of_another_length_than_asked_for_are_counted() -> None:
    point = measure([request(), request(max_tokens=9), request(max_tokens=2)], 1, LOAD)
    assert (point.short_answers, point.long_answers) == (1, 1)


def test_a_doubt_from_elsewhere_makes_a_point_invalid() -> None:
    point = measure([request()] * 2, 1, LOAD, ["the load generator lagged"], {"cpu_share": 1.0})
    assert point.invalid == ["the load generator lagged"]
    assert point.client == {"cpu_share": 1.0}


def test_failed_requests_do_not_enter_latencies() -> None:
    point = measure([request(), request(error="reset", token_times_s=[99.0])], 1, LOAD)
    assert point.ttft_s.count == 1
    assert point.error_causes == {"reset": 1}


def test_what_was_sent_late_is_told_from_when_it_should_have_been() -> None:
    point = measure([request(send_s=5.0, intended_s=3.0), request(send_s=5.0)], 1, LOAD)
    assert (point.ttft_s.max, point.ttft_intended_s.min, point.ttft_intended_s.max) == (1, 1, 3)


def test_goodput_counts_what_keeps_both_limits() -> None:
    limits = replace(LOAD, ttft_at_most_s=1.2, tpot_at_most_s=0.6)
    late = request(token_times_s=[1.5, 2.0, 2.5])
    slow = request(token_times_s=[1.0, 2.0, 3.0], end_s=3.0)
    failed = request(error="reset")
    assert measure([request(), late, slow, failed], 1, limits).goodput == 0.25
    assert math.isnan(measure([], 1, limits).goodput)


def test_requests_in_flight_are_told_over_time() -> None:
    requests = [request(0), request(2, tokens=3), request(2, tokens=5, warmup=True)]
    point = measure(requests, 2, LOAD)
    assert point.in_flight_bin_s == pytest.approx(0.05)
    assert point.in_flight == pytest.approx([1] * 40 + [2] * 40 + [1] * 20)


def test_the_transient_is_left_out_and_counted() -> None:
    warming = [
        request(i, token_times_s=[i + 1 + max(0, 30 - i), i + 40], end_s=i + 40) for i in range(200)
    ]
    point = measure(warming, 1, replace(LOAD, steady_state=True))
    assert point.invalid == []
    assert 20 <= point.cut_requests <= 40
    assert point.requests == 200 - point.cut_requests
    assert point.steady_since_s == point.cut_requests
    assert measure(warming, 1, LOAD).cut_requests == 0


def test_a_point_that_never_becomes_steady_is_invalid() -> None:
    drifting = [request(i, token_times_s=[2 * i + 1.0, 600.0], end_s=600.0) for i in range(200)]
    [reason] = measure(drifting, 1, replace(LOAD, steady_state=True)).invalid
    assert reason.startswith("no steady state: TTFT still drifts")
    [reason] = measure(drifting[:9], 1, replace(LOAD, steady_state=True)).invalid
    assert reason.startswith("9 requests are too few")


def test_a_summary_of_nothing_has_no_values() -> None:
    assert summarise([]).count == 0
    assert math.isnan(summarise([]).p50)
