"""The most users that a server sustains, and the reason why no more."""

import pytest

from er.config import Arrivals
from er.load.knee import describe, walk
from er.results.point import Point, measure
from er.results.request import Request
from tests.unit.load.fakes import load

LADDER = [1, 2, 4, 8, 16, 32, 64]


def request(ttft_s: float, tpot_s: float) -> Request:
    times = [ttft_s, ttft_s + tpot_s]
    return Request(1, 0, 0, False, "t", 1, 2, 0.0, times, times[-1], 200)


@pytest.mark.parametrize("limit", [0, 1, 3, 8, 63, 64, 1000])
def test_the_most_users_are_found_in_few_points(limit: int) -> None:
    settings = load(
        concurrency=LADDER, find_knee=True, ttft_at_most_s=1.0, arrivals=Arrivals.open_loop
    )
    measured: list[int] = []

    def point(users: int) -> Point:
        measured.append(users)
        return measure([request(0.5 if users <= limit else 2.0, 0.01)], users, settings)

    found = walk(settings, point)
    assert found
    assert found.max_concurrency == max((users for users in LADDER if users <= limit), default=0)
    assert len(measured) == len(set(measured)) <= 3
    above = [users for users in LADDER if users > limit]
    assert found.bounded_by == (
        f"TTFT p95 is 2 s at {above[0]} user{'s' if above[0] > 1 else ''}" if above else ""
    )


def test_without_a_knee_to_find_all_is_measured() -> None:
    settings = load(concurrency=LADDER)
    measured: list[int] = []

    def point(users: int) -> Point:
        measured.append(users)
        return measure([request(9.0, 9.0)], users, settings)

    assert walk(settings, point) is None
    assert measured == LADDER


@pytest.mark.parametrize(
    ("requests", "doubts", "message"),
    [
        ([request(0.5, 0.05)] * 9 + [request(2, 0.05)], [], "TTFT p95"),
        ([request(0.5, 0.05)] * 9 + [request(0.5, 3.0)], [], "TPOT p95"),
        ([request(0.5, 0.05)], ["the client lagged"], "1 user is invalid: the client lagged"),
    ],
)
def test_the_knee_names_what_bounds_it(
    requests: list[Request], doubts: list[str], message: str
) -> None:
    settings = load(find_knee=True, arrivals=Arrivals.open_loop)
    found = walk(settings, lambda users: measure(requests, users, settings, doubts))
    assert found
    assert found.max_concurrency == 0
    assert message in describe(found)
