"""A point on a virtual clock tells what a load generator would, for every kind of load."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from er.compose import plan
from er.config import Arrivals, Failure, Policy
from er.load.plan import Plan
from er.results.point import Summary, measure
from er.results.request import Prompt
from er.results.request_table import frame
from er.results.run_dir import RunDir
from er.study.predicted import Study, as_request


@pytest.fixture(scope="module")
def config():
    [only] = plan(["deployment=e", "clock=virtual", "load=laptop", "routing.policy=random"])
    return only


@pytest.fixture(scope="module")
def prompts():
    random = np.random.default_rng(0)
    pairs = zip(random.integers(30, 600, 50), random.integers(1, 80, 50), strict=True)
    return [Prompt("", f"topic {i % 3}", *map(int, pair)) for i, pair in enumerate(pairs)]


def played(config, prompts, users, record=True, **load):
    study = Study(replace(config, load=replace(config.load, **load)))
    return study.play(prompts, users, record)


def rows(config, prompts, users, **load):
    return played(config, prompts, users, **load).requests().to_pandas()


LOADS = {
    "closed loop": {},
    "ramp and think time": {"ramp_s": 3.0, "think_time_s": 0.5},
    "poisson": {"arrivals": Arrivals.open_loop, "user_rate_per_s": 2.0},
    "gamma": {"arrivals": Arrivals.open_loop, "burstiness": 0.25},
    "constant": {"arrivals": Arrivals.open_loop, "burstiness": math.inf},
    "burst": {"arrivals": Arrivals.burst, "burst_every_s": 2.0},
    "closed loop by time": {"requests_per_user": 0, "duration_s": 20.0},
    "open loop by time": {
        "arrivals": Arrivals.open_loop,
        "requests_per_user": 0,
        "duration_s": 20.0,
    },
}


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
@pytest.mark.parametrize("users", [1, 7])
@pytest.mark.parametrize("turns", [1, 3])
def test_what_is_sent_and_when_is_as_the_real_load_has_it(config, prompts, users, load, turns):
    """The plan of the real load is told of each answer that ended on the virtual clock."""
    prompts = [replace(prompt, turn=i % turns) for i, prompt in enumerate(prompts[:48])]
    requests = rows(config, prompts, users, **load)
    assert requests.ok.all()
    assert (requests.intended_s == requests.send_s).all()
    real = Plan(prompts, users, replace(config.load, **load))
    works = real.start()
    # Who sends first after answers that end together is not fixed: in the order of what came next.
    following = requests.groupby("user")["index"].shift(-1).fillna(len(requests))
    ends = requests.assign(following=following).sort_values(["end_s", "following", "index"])
    for user, send_s, end_s in ends[["user", "send_s", "end_s"]].itertuples(index=False):
        [sent] = [w for w in works if w.request.user == user and abs(w.due_s - send_s) < 1e-8]
        works += filter(None, [real.after(sent.request, end_s)])
    last_s = requests[~requests.warmup & ~requests.cooldown].end_s.max()
    works = [work for work in works if not (work.request.cooldown and work.due_s > last_s - 1e-8)]
    assert len(works) == len(requests)
    assert sorted(w.due_s for w in works) == pytest.approx(requests.send_s.tolist(), abs=1e-8)
    names = ["user", "warmup", "cooldown", "topic", "input_tokens", "max_tokens"]
    asked = sorted(tuple(getattr(work.request, name) for name in names) for work in works)
    assert sorted(requests[names].itertuples(index=False, name=None)) == asked


def test_users_of_a_closed_loop_wait_for_their_answers_and_think(config, prompts):
    requests = rows(config, prompts, 7, think_time_s=0.25)
    for _, mine in requests.groupby("user"):
        assert len(mine) > 2
        pauses = mine.send_s.to_numpy()[1:] - mine.end_s.to_numpy()[:-1]
        assert pauses.tolist() == pytest.approx([0.25] * len(pauses))


@pytest.mark.parametrize("users", [1, 20])
@pytest.mark.parametrize("load", [{}, LOADS["poisson"]], ids=["closed loop", "poisson"])
def test_a_point_is_what_measuring_its_records_gives(config, prompts, users, load):
    no_delays = replace(config.clock, gateway_s=0.0, request_s=0.0, reply_s=0.0)
    at_once = replace(config.engine.correction, host_request_s=0.0)
    engine = replace(config.engine, correction=at_once)
    config = replace(config, clock=no_delays, engine=engine, load=replace(config.load, **load))
    fast = played(config, prompts, users, record=False).point()
    records = played(config, prompts, users).requests().to_pylist()
    slow = measure(list(map(as_request, records)), users, config.load)
    for name, theirs in vars(slow).items():
        ours = getattr(fast, name)
        if isinstance(theirs, Summary):
            ours, theirs = vars(ours), vars(theirs)
        assert ours == pytest.approx(theirs, rel=1e-9, nan_ok=True), name


def test_tokens_are_counted_one_round_trip_later(config, prompts):
    fast = played(config, prompts, 20, record=False).point()
    records = played(config, prompts, 20).requests().to_pylist()
    slow = measure(list(map(as_request, records)), 20, config.load)
    assert fast.tokens_per_s == pytest.approx(slow.tokens_per_s, rel=0.005)
    assert fast.requests_per_s == slow.requests_per_s


def test_concurrency_holds_to_the_end(config, prompts):
    point = played(config, prompts, 20, requests_per_user=3)
    requests = point.requests().to_pandas()
    measured = requests[~requests.warmup & ~requests.cooldown]
    last_s = measured.end_s.max()
    assert requests.cooldown.any()
    assert requests[requests.cooldown].send_s.between(measured.send_s.min(), last_s).all()
    for at_s in np.linspace(measured.send_s.min(), last_s, 50)[:-1] + 1e-9:
        assert ((requests.send_s <= at_s) & (requests.end_s > at_s)).sum() == 20
    assert point.point().little_ratio == pytest.approx(1, abs=0.05)


def test_throughput_does_not_depend_on_how_long_is_measured(config, prompts):
    few, many = (
        played(config, prompts, 20, False, requests_per_user=each).point() for each in (3, 30)
    )
    assert few.tokens_per_s == pytest.approx(many.tokens_per_s, rel=0.05)


def test_a_steady_state_is_cut_as_from_measured_requests(config, prompts):
    start = {"requests_at_least": 400, "warmup_requests_per_user": 0}
    whole = played(config, prompts, 20, **start).point()
    steady = played(config, prompts, 20, record=False, steady_state=True, **start).point()
    assert steady.requests + steady.cut_requests == whole.requests
    assert steady.cut_requests > 0


def test_records_have_the_columns_of_measured_ones(config, prompts, tmp_path):
    (tmp_path / "requests").mkdir()
    run = RunDir(tmp_path)
    point = played(config, prompts, 3)
    run.keep_table(3, point.requests())
    kept = pd.read_parquet(tmp_path / "requests/c0003.parquet")
    records = list(map(as_request, point.requests().to_pylist()))
    run.keep_requests(4, records)
    written = pd.read_parquet(tmp_path / "requests/c0004.parquet")
    lists = ["token_times_s", "token_lateness"]
    pd.testing.assert_frame_equal(kept.drop(columns=lists), written.drop(columns=lists))
    for ours, theirs in zip(kept.token_times_s, written.token_times_s, strict=True):
        assert ours.tolist() == theirs.tolist()
    for one, next_one in pairwise(kept.token_times_s[0]):
        assert one < next_one
    assert list(frame(records).columns) == list(kept.columns)


def test_the_same_seed_gives_the_same_bytes(config, prompts):
    once, again = (played(config, prompts, 9).requests() for _ in range(2))
    assert once.equals(again)


def test_a_failing_expert_marks_the_point(config, prompts):
    clock = replace(config.clock, failures=[Failure(3, 0.5)])
    point = played(replace(config, clock=clock), prompts, 12, requests_per_user=20)
    requests = point.requests().to_pandas()
    lost = requests[~requests.ok & ~requests.warmup & ~requests.cooldown]
    assert set(lost.expert) == {3}
    assert (lost.end_s >= 0.5).all()
    assert np.isnan(lost.ttft_s).all()
    measured = point.point()
    assert measured.errors == len(lost) > 0
    assert measured.invalid == [
        f"{len(lost)} of {measured.requests} requests failed ({len(lost)} x expert failed)"
    ]


def test_baselines_choose_experts_without_reading(config, prompts):
    def experts(policy):
        return rows(replace(config, routing=replace(config.routing, policy=policy)), prompts, 4)

    assert experts(Policy.round_robin).expert[:9].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0]
    assert experts(Policy.least_loaded).expert[:4].tolist() == [0, 1, 2, 3]
    drawn = experts(Policy.random).expert.tolist()
    assert drawn == experts(Policy.random).expert.tolist() != sorted(drawn)
