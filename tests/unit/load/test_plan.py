"""When each request is due, in a closed loop, in an open one, and in bursts."""

import itertools

import numpy as np
import pytest

from er.config import Arrivals
from er.load.plan import Plan, Work
from tests.unit.load.fakes import load, prompt

PROMPTS = [prompt(f"prompt {number}") for number in range(7)]


def plan(users: int, at: int = 0, of: int = 1, **changes: object) -> Plan:
    return Plan(PROMPTS, users, load(warmup_requests_per_user=0, **changes), at, of)


def test_a_closed_loop_starts_everybody_and_waits_for_answers() -> None:
    closed = plan(3)
    works = closed.start()
    assert [(work.due_s, work.request.user) for work in works] == [(0, 0), (0, 1), (0, 2)]
    follow = closed.after(works[1].request, now_s=5)
    assert follow
    assert (follow.due_s, follow.request.user) == (5, 1)


def test_a_ramp_spreads_the_first_prompts() -> None:
    assert [work.due_s for work in plan(4, ramp_s=2.0).start()] == [0, 0.5, 1, 1.5]


def test_a_user_thinks_before_the_next_prompt() -> None:
    thinking = plan(1, think_time_s=3.0)
    (first,) = thinking.start()
    follow = thinking.after(first.request, now_s=5)
    assert follow
    assert follow.due_s == 8


def gaps_s(works: list[Work]) -> list[float]:
    return [later.due_s - work.due_s for work, later in itertools.pairwise(works)]


@pytest.mark.parametrize(("burstiness", "variation"), [(1.0, 1.0), (4.0, 0.5), (0.25, 2.0)])
def test_an_open_loop_keeps_its_rate_and_burstiness(burstiness: float, variation: float) -> None:
    open_loop = plan(
        10,
        arrivals=Arrivals.open_loop,
        user_rate_per_s=2.0,
        burstiness=burstiness,
        requests_per_user=2000,
    )
    works = open_loop.start()
    assert len(works) == 20_000
    gaps = gaps_s(works)
    assert np.mean(gaps) == pytest.approx(1 / 20, rel=0.05)
    assert np.std(gaps) / np.mean(gaps) == pytest.approx(variation, rel=0.05)
    assert open_loop.after(works[0].request, now_s=1) is None


def test_workers_share_the_rate_and_do_not_arrive_together() -> None:
    shares = [
        plan(10, at, 2, arrivals=Arrivals.open_loop, requests_per_user=2000).start()
        for at in (0, 1)
    ]
    assert [len(share) for share in shares] == [10_000, 10_000]
    for share in shares:
        assert np.mean(gaps_s(share)) == pytest.approx(1 / 5, rel=0.05)
    assert not {work.due_s for work in shares[0]} & {work.due_s for work in shares[1]}


def test_an_open_loop_repeats_itself() -> None:
    first, again = (
        [work.due_s for work in plan(3, arrivals=Arrivals.open_loop).start()] for _ in range(2)
    )
    assert first == again


def test_bursts_come_all_at_once_again_and_again() -> None:
    works = plan(3, arrivals=Arrivals.burst, burst_every_s=4.0).start()
    assert [work.due_s for work in works] == [0, 0, 0, 4, 4, 4]
    assert [work.request.user for work in works] == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("arrivals", list(Arrivals))
def test_warm_up_comes_first(arrivals: Arrivals) -> None:
    warm = Plan(PROMPTS, 2, load(arrivals=arrivals))
    works = warm.start()
    assert [work.request.warmup for work in works[:3]] == [True, True, False][: len(works)]


def test_after_a_failure_of_everybody_there_is_no_more() -> None:
    closed = plan(4, requests_per_user=10)
    works = closed.start()
    for work in works:
        work.request.error = "refused"
    assert [closed.after(work.request, 1) is None for work in works] == [False] * 3 + [True]
    assert closed.hopeless
