"""The most users that a server bears, and the share of requests that users put up with."""

import pytest

from er.load.knee import goodput, most_users, within_limits
from er.points import measure
from er.results import Request
from tests.unit.load.fakes import load

LADDER = [1, 2, 4, 8, 16, 32, 64]


@pytest.mark.parametrize("limit", [0, 1, 3, 8, 63, 64, 1000])
def test_the_most_users_are_found_in_few_points(limit: int) -> None:
    asked: list[int] = []

    def bears(users: int) -> bool:
        asked.append(users)
        return users <= limit

    found = most_users(LADDER, bears)
    assert found == max((users for users in LADDER if users <= limit), default=0)
    assert len(asked) == len(set(asked)) <= 3


def request(ttft_s: float, tpot_s: float, error: str = "") -> Request:
    times = [ttft_s, ttft_s + tpot_s]
    return Request(1, 0, 0, False, "t", 1, 2, 0.0, times, times[-1], 200, error)


def test_goodput_counts_what_keeps_both_limits() -> None:
    limits = load(ttft_at_most_s=1.0, tpot_at_most_s=0.1)
    requests = [request(0.5, 0.05), request(1.5, 0.05), request(0.5, 0.2), request(0.5, 0.05, "x")]
    assert goodput(requests, limits) == 0.25
    assert goodput([], limits) == 0


@pytest.mark.parametrize(
    ("slow", "within"), [(request(0.5, 0.05), True), (request(2, 0.05), False)]
)
def test_limits_hold_for_the_95th_percentile(slow: Request, within: bool) -> None:
    limits = load(ttft_at_most_s=1.0, tpot_at_most_s=0.1)
    point = measure([request(0.5, 0.05)] * 9 + [slow] * 1, 1, limits)
    assert within_limits(point, limits) is within


def test_an_invalid_point_is_not_within_limits() -> None:
    point = measure([request(0.5, 0.05)], 1, load(), ["the client lagged"])
    assert not within_limits(point, load())
