"""A load generator that limited a point is detected."""

import math
from array import array
from dataclasses import replace

import numpy as np
import pytest

from er.config import Arrivals, LoadClient
from er.load.proof import doubts, in_flight_share, lag_s, prove
from er.load.users import PointLoad
from er.results.request import Request
from tests.unit.load.fakes import load


def span(user: int, send_s: float, end_s: float) -> Request:
    return Request(2, user, 0, False, "t", 1, 1, send_s, [end_s], end_s)


def test_users_that_never_pause_are_all_in_flight() -> None:
    requests = [span(0, 0, 4), span(0, 4, 9), span(1, 0, 3), span(1, 3, 9)]
    assert in_flight_share(requests, 2) == pytest.approx(1)


def test_a_pause_counts_only_in_the_steady_window() -> None:
    requests = [span(0, 0, 10), span(1, 0, 4), span(1, 6, 10)]
    unmeasured = [
        replace(span(1, -9, -3), warmup=True),
        replace(span(0, -9, 0), warmup=True),
        replace(span(1, 12, 20), cooldown=True),
    ]
    assert in_flight_share(requests + unmeasured, 2) == pytest.approx(0.9)


def test_the_window_opens_when_the_last_user_has_begun() -> None:
    requests = [span(0, 0, 5), span(0, 5, 10), span(1, 2, 6), span(1, 6, 10)]
    assert in_flight_share(requests, 2) == pytest.approx(1)
    late = [replace(request, send_s=request.send_s + 20) for request in requests[2:]]
    assert math.isnan(in_flight_share([*requests[:2], *late], 2)), "never all at once"


def test_users_that_never_send_lower_the_share_in_flight() -> None:
    assert in_flight_share([span(0, 0, 5), span(0, 5, 9)], 4) == pytest.approx(0.25)


def test_without_requests_the_share_in_flight_is_nan() -> None:
    assert math.isnan(in_flight_share([], 2))


def test_a_sound_point_has_no_doubts() -> None:
    point = PointLoad(array("d", [0.0001] * 100), array("d", [0.0001]), cpu_s=2, wall_s=8)
    point.requests = [span(0, 0, 4), span(0, 4, 8)]
    proof = prove(point, 1)
    assert proof.cpu_share == pytest.approx(0.25)
    assert proof.cpu_us_per_token == pytest.approx(1e6)
    assert doubts(proof, load()) == []


def test_a_slow_client_is_a_doubt_with_advice() -> None:
    point = PointLoad(array("d", [0.02] * 100), requests=[span(0, 0, 1), span(0, 2, 3)])
    lagged, idle = doubts(prove(point, 1), load())
    assert lagged.startswith("the load generator lagged: 20.0 ms")
    assert "only 66.7% of the users were in flight" in idle
    assert idle.endswith("set load.client=sockets, or use fewer users")


def test_a_doubt_does_not_round_into_its_limit() -> None:
    point = PointLoad(array("d", [0.01004] * 100), requests=[span(0, 0, 0.9946), span(0, 1, 2)])
    lagged, idle = doubts(prove(point, 1), load(max_loop_lag_s=0.01, min_concurrency=0.9974))
    assert "10.04 ms at the 99th percentile (at most 10.00 ms)" in lagged
    assert "only 99.73% of the users were in flight (at least 99.74%)" in idle


def test_late_reads_that_change_no_number_are_not_a_doubt() -> None:
    late = array("d", [0.02] * 100)
    point = PointLoad(late, late, requests=[span(0, 0, 1), span(0, 1, 2)])
    apart = Request(1, 0, 0, False, "t", 1, 3, 0.0, [0.1, 0.2, 0.3], 0.3)
    point.requests = [apart, replace(apart, send_s=0.3, token_times_s=[0.4, 0.5, 0.6], end_s=0.6)]
    assert doubts(prove(point, 1), load()) == []
    together = [replace(request, token_times_s=[0.2, 0.2, 0.3]) for request in point.requests]
    evidence = prove(replace(point, requests=together), 1)
    assert evidence.together_share == 0.5
    [reason] = doubts(evidence, load())
    assert reason.startswith("the load generator lagged: 20.0 ms")


def test_tokens_in_one_piece_are_not_blamed_on_a_client_that_reads_in_time() -> None:
    point = PointLoad(array("d", [0.0001]), array("d", [0.0001] * 9))
    point.requests = [Request(1, 0, 0, False, "t", 1, 3, 0.0, [0.1, 0.1, 0.3], 0.3)]
    assert prove(point, 1).together_share == 0.5
    assert doubts(prove(point, 1), load()) == []


def test_a_point_without_requests_has_no_doubts_of_the_load_generator() -> None:
    assert doubts(prove(PointLoad(), 3), load()) == []


def test_late_sends_of_an_open_loop_are_a_doubt() -> None:
    settings = load(arrivals=Arrivals.open_loop)
    late = span(0, 1, 2)
    late.intended_s = 0.5
    (doubt,) = doubts(prove(PointLoad(requests=[late], busy=False), 1), settings)
    assert doubt.startswith("requests left late: 500.0 ms")


def test_a_stall_counts_for_as_long_as_it_lasts() -> None:
    turns_s = [0.0001] * 10_000
    assert lag_s(turns_s, 0.99, 10) < 0.0001
    assert lag_s([*turns_s, 0.5], 0.99, 10) == pytest.approx(0.4, abs=0.001)  # not hidden by many
    assert lag_s([0.002] * 5000, 0.99, 10) == pytest.approx(0.00198)  # a loop that is never free
    waits_s = np.concatenate([np.random.default_rng(0).uniform(0, 0.3, 3000), np.zeros(7000)])
    assert lag_s([0.3], 0.9, 1) == pytest.approx(np.quantile(waits_s, 0.9), abs=0.01)
    assert math.isnan(lag_s([], 0.99, 10))


def test_late_reads_are_recorded_but_not_a_doubt_with_stamps_of_the_kernel() -> None:
    point = PointLoad(array("d", [0.0]), array("d", [0.02] * 100), wall_s=8)
    point.requests = [span(0, 0, 4), span(0, 4, 8)]
    proof = prove(point, 1)
    assert proof.read_delay_p99_s == pytest.approx(0.02)
    assert doubts(proof, load(client=LoadClient.sockets)) == []


def test_a_stall_of_the_sockets_client_is_a_doubt_with_advice() -> None:
    point = PointLoad(array("d", [0.5]), wall_s=8)
    (doubt,) = doubts(prove(point, 1), load(client=LoadClient.sockets))
    assert doubt.startswith("the load generator lagged")
    assert "load.workers (now auto), free cores or another node" in doubt
