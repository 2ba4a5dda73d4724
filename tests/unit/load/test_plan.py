"""When each request is due, in a closed loop, in an open one, and in bursts."""

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from er.config import Arrivals
from er.errors import ErError
from er.load.arrivals import count_requests, read_lengths
from er.load.plan import Plan, Work
from tests.unit.load.fakes import load, prompt

SELF_MADE = [arrivals for arrivals in Arrivals if arrivals is not Arrivals.trace]
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


def test_users_go_on_unmeasured_until_the_last_measured_request_has_ended() -> None:
    closed = plan(2, requests_per_user=1)
    slow, quick = closed.start()
    for second in range(1, 9):
        follow = closed.after(quick.request, now_s=second)
        assert follow
        assert follow.request.cooldown
        assert not follow.request.measured
        assert follow.prompt == PROMPTS[(second - 1) % 2]
        assert not closed.over
        quick = follow
    assert closed.after(slow.request, now_s=9) is None
    assert closed.over
    assert closed.after(quick.request, now_s=9) is None


def test_users_of_a_part_go_on_until_all_parts_have_ended() -> None:
    parts = [plan(2, at, 2, requests_per_user=1) for at in range(2)]
    (first,), (second,) = (part.start() for part in parts)
    follow = parts[0].after(first.request, now_s=1)
    assert follow
    assert follow.request.cooldown
    assert [part.measured_all(1) for part in parts] == [True, False]
    parts[1].after(second.request, now_s=2)
    parts[0].stop()
    assert parts[0].after(follow.request, now_s=3) is None


def test_nothing_is_measured_until_the_last_user_has_begun() -> None:
    ramped = plan(3, ramp_s=3.0)
    works = ramped.start()
    assert [work.due_s for work in works] == [0, 1, 2]
    assert [work.request.warmup for work in works] == [True, True, False]
    early = ramped.after(works[0].request, now_s=1.5)
    later = ramped.after(works[1].request, now_s=2.0)
    assert early
    assert later
    assert (early.request.warmup, later.request.warmup) == (True, False)
    assert (early.request.measured, later.request.measured) == (False, True)


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


def test_constant_gaps_are_the_limit_of_burstiness() -> None:
    endless = plan(2, arrivals=Arrivals.open_loop, user_rate_per_s=5.0, burstiness=math.inf)
    assert [work.due_s for work in endless.start()] == pytest.approx([0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize("arrivals", SELF_MADE)
@pytest.mark.parametrize("users", [3, 4])
def test_workers_share_what_one_process_would_send(arrivals: Arrivals, users: int) -> None:
    def sent(of: int) -> list[tuple[float, int, str]]:
        shares = [plan(users, at, of, arrivals=arrivals).start() for at in range(of)]
        works = [work for share in shares for work in share]
        assert len({work.request.index for work in works}) == len(works)
        return sorted((work.due_s, work.request.user, work.prompt.text) for work in works)

    assert sent(1) == sent(2) == sent(3)


@pytest.mark.parametrize("arrivals", [Arrivals.open_loop, Arrivals.burst])
def test_a_duration_ends_arrivals(arrivals: Arrivals) -> None:
    timed = {"arrivals": arrivals, "duration_s": 30.0, "requests_per_user": 0}
    works = plan(4, **timed).start()
    assert len(works) == count_requests(4, load(warmup_requests_per_user=0, **timed))
    assert len(works) == (12 if arrivals is Arrivals.burst else pytest.approx(120, rel=0.3))
    assert 20 <= works[-1].due_s < 30


def test_a_trace_is_replayed_as_many_times_as_fast_as_there_are_users(tmp_path: Path) -> None:
    file = tmp_path / "times.jsonl"
    rows = [(0, 30, 3), (1, 40, 4), (4, 50, 5)]
    names = ("time_s", "input_tokens", "output_tokens")
    file.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
    replay = {"arrivals": Arrivals.trace, "trace": str(file), "requests_per_user": 0}
    works = plan(2, **replay).start()
    assert [work.due_s for work in works] == [0, 0.5, 2]
    assert len(plan(2, duration_s=1.0, **replay).start()) == 2
    assert read_lengths(load(warmup_requests_per_user=0, **replay)) == [(30, 3), (40, 4), (50, 5)]


def test_a_duration_ends_a_closed_loop_that_has_no_other_end() -> None:
    timed = plan(1, duration_s=100.0, requests_per_user=0)
    (work,) = timed.start()
    texts = [work.prompt.text]
    for second in range(1, 100):
        follow = timed.after(work.request, now_s=second)
        assert follow
        work = follow
        texts.append(work.prompt.text)
    assert timed.after(work.request, now_s=100.0) is None
    assert texts[: len(PROMPTS)] == [prompt.text for prompt in PROMPTS]
    assert texts.count("prompt 0") > 1


TURNS = [replace(prompt(f"{talk}.{turn}"), turn=turn) for talk in range(3) for turn in range(3)]


@pytest.mark.parametrize("arrivals", SELF_MADE)
def test_one_user_holds_a_conversation_in_its_order(arrivals: Arrivals) -> None:
    talks = Plan(TURNS, 3, load(arrivals=arrivals, warmup_requests_per_user=0, requests_per_user=3))
    firsts = talks.start()
    assert [work.prompt.text for work in firsts] == ["0.0", "1.0", "2.0"]
    for talk in (1, 0, 2):
        work = firsts[talk]
        for turn in (1, 2):
            follow = talks.after(work.request, now_s=9)
            assert follow
            assert (follow.prompt.text, follow.request.user) == (f"{talk}.{turn}", talk)
            work = follow
        follow = talks.after(work.request, now_s=9)
        assert follow is None or follow.request.cooldown
    assert follow is None


def test_a_closed_loop_needs_a_conversation_for_each_user() -> None:
    with pytest.raises(ErError, match="4 users cannot hold 3 conversations"):
        Plan(TURNS, 4, load(requests_at_least=9))


def test_an_open_loop_repeats_itself() -> None:
    first, again = (
        [work.due_s for work in plan(3, arrivals=Arrivals.open_loop).start()] for _ in range(2)
    )
    assert first == again


def test_the_requests_of_a_burst_are_due_at_the_same_time() -> None:
    works = plan(3, arrivals=Arrivals.burst, burst_every_s=4.0).start()
    assert [work.due_s for work in works] == [0, 0, 0, 4, 4, 4]
    assert [work.request.user for work in works] == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("arrivals", SELF_MADE)
def test_warm_up_comes_first(arrivals: Arrivals) -> None:
    warm = Plan(PROMPTS, 2, load(arrivals=arrivals))
    works = warm.start()
    assert [work.request.warmup for work in works[:3]] == [True, True, False][: len(works)]


def test_no_request_begins_after_every_user_has_failed() -> None:
    closed = plan(4, requests_per_user=10)
    works = closed.start()
    for work in works:
        work.request.error = "refused"
    assert [closed.after(work.request, 1) is None for work in works] == [False] * 3 + [True]
    assert closed.hopeless
