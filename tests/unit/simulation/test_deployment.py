"""A deployment on a virtual clock tells the same as a load generator would."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from er.errors import ConfigError
from er.points import Summary, measure
from er.results import Prompt
from er.simulation.batching import RequestError
from er.simulation.closed_loop import Sent
from er.simulation.deployment import (
    Delays,
    VirtualDeployment,
    deployment_of,
    predict_point,
    simulate_point,
)
from er.simulation.outcome import weighted_summary
from er.sweep import plan

DELAYS = Delays(gateway_s=0.002, request_s=0.0005, reply_s=0.0003)


@pytest.fixture(scope="module")
def config():
    [only] = plan(["deployment=e", "load.requests_per_user=3"])
    return only


@pytest.fixture(scope="module")
def deployment(config):
    return deployment_of(config, DELAYS)


def prompts(count, seed=0):
    random = np.random.default_rng(seed)
    made = [
        Prompt("", f"topic {i % 3}", int(random.integers(30, 600)), int(random.integers(1, 80)))
        for i in range(count)
    ]
    return made, random.integers(0, 8, count).tolist()


@pytest.mark.parametrize("users", [1, 8, 40])
def test_requests_are_complete_and_their_times_rise(config, deployment, users):
    asked, experts = prompts(50)
    requests = simulate_point(deployment, asked, experts, users, config.load)
    measured = [r for r in requests if not r.warmup]
    assert len(measured) == max(3 * users, config.load.requests_at_least)
    assert len(requests) - len(measured) == users
    assert [(r.input_tokens, r.max_tokens, r.topic, r.expert) for r in measured[:50]] == [
        (p.input_tokens, p.output_tokens, p.topic, expert)
        for p, expert in list(zip(asked, experts, strict=True))[: len(measured)]
    ]
    for r in requests:
        assert r.ok
        assert r.output_tokens == r.max_tokens
        assert r.end_s == r.token_times_s[-1]
        assert r.send_s + 0.002 + 0.0005 + 0.0003 < r.token_times_s[0]
        assert (np.diff(r.token_times_s) > 0.001).all()


def test_no_more_users_are_under_way_than_there_are(config, deployment):
    requests = simulate_point(deployment, *prompts(60), 7, config.load)
    changes = sorted([(r.send_s, 1) for r in requests] + [(r.end_s, -1) for r in requests])
    assert np.cumsum([change for _, change in changes]).max() == 7
    for user in range(7):
        mine = [r for r in requests if r.user == user]
        assert all(a.end_s == b.send_s for a, b in itertools.pairwise(mine))


def statistics(summary):
    """Order statistics and mean, which a simulation gives of every gap as well."""
    names = ("count", "mean", "min", "p25", "p50", "p75", "p95", "p99", "max")
    return {name: getattr(summary, name) for name in names}


@pytest.mark.parametrize("users", [1, 20])
def test_statistics_are_those_of_the_requests_written_out(config, deployment, users):
    asked, experts = prompts(50)
    fast = predict_point(deployment, asked, experts, users, config.load)
    slow = measure(
        simulate_point(deployment, asked, experts, users, config.load), users, config.load, []
    )
    for name in ("ttft_s", "tpot_s", "itl_s", "e2e_s"):
        ours, theirs = (statistics(getattr(point, name)) for point in (fast, slow))
        assert ours == pytest.approx(theirs, rel=1e-9, nan_ok=True), name
    for name in ("requests", "duration_s", "tokens_per_s", "requests_per_s", "experts"):
        assert getattr(fast, name) == pytest.approx(getattr(slow, name)), name


def test_the_same_seed_gives_the_same_bytes(config, deployment):
    once = simulate_point(deployment, *prompts(30), 9, config.load)
    again = simulate_point(deployment_of(config, DELAYS), *prompts(30), 9, config.load)
    assert repr(once) == repr(again)


def test_weighted_statistics_are_those_of_the_values_written_out():
    values, counts = np.array([3.0, 1.0, 2.0]), np.array([2, 5, 4])
    plain = weighted_summary(np.repeat(values, counts), np.ones(11, np.int64))
    assert statistics(weighted_summary(values, counts)) == pytest.approx(statistics(plain))
    assert weighted_summary(values, counts).p50 == 2.0
    assert weighted_summary(np.zeros(0), np.zeros(0, np.int64)).count == Summary().count


def test_an_open_loop_sends_when_told(deployment):
    at = np.array([0.0, 0.5, 0.7])
    tokens = np.array([100, 200, 300])
    asked = deployment.prompts(tokens, np.array([5, 6, 7]), np.zeros(3, np.int64))
    outcome = deployment.play(asked, deployment.loop(3, start_s=at, once=True))
    assert (outcome.sent[:, Sent.send_ns] / 1e9).tolist() == at.tolist()


def test_think_time_passes_between_requests(deployment):
    tokens = np.full(4, 50)
    asked = deployment.prompts(tokens, tokens, np.zeros(4, np.int64))
    outcome = deployment.play(asked, deployment.loop(1, think_s=np.full(4, 1.5)))
    pauses = outcome.sent[1:, Sent.send_ns] - outcome.sent[:-1, Sent.end_ns]
    assert pauses.tolist() == [1_500_000_000] * 3


def test_a_gateway_serves_one_request_at_a_time(deployment):
    tokens = np.full(3, 50)
    asked = deployment.prompts(tokens, np.ones(3, np.int64), np.arange(3))
    outcome = deployment.play(asked, deployment.loop(3))
    assert np.diff(outcome.sent[:, Sent.first_ns]).tolist() == [2_000_000] * 2


def test_an_expert_that_fails_takes_its_requests_with_it(deployment):
    random = np.random.default_rng(0)
    asked = deployment.prompts(
        random.integers(30, 300, 400), random.integers(10, 80, 400), random.integers(0, 8, 400)
    )
    outcome = deployment.play(asked, deployment.loop(12, fail_s={3: 0.6}), record=True)
    requests = outcome.requests(12, True, [""] * 400)
    lost = [request for request in requests if request.error]
    assert lost
    assert {request.expert for request in lost} == {3}
    assert all(request.end_s >= 0.6 for request in lost)
    assert all(request.output_tokens < request.max_tokens for request in lost)
    assert all(request.end_s < 0.61 for request in requests if request.expert == 3 and request.ok)
    served = [request for request in requests if not request.error]
    assert all(request.output_tokens == request.max_tokens for request in served)
    point = outcome.point(12, True)
    assert (point.requests, point.errors) == (400, len(lost))
    assert point.invalid == [f"{len(lost)} requests ended with their expert"]
    assert point.error_causes == {"expert failed": len(lost)}
    assert point.e2e_s.count == len(served)


def test_a_deployment_that_fails_at_once_serves_nothing(deployment):
    asked = deployment.prompts(np.full(5, 50), np.full(5, 9), np.zeros(5, np.int64))
    point = deployment.play(asked, deployment.loop(2, fail_s={0: 0.0})).point(2, True)
    assert (point.requests, point.errors, point.tokens_per_s) == (5, 5, 0.0)
    assert point.ttft_s.count == 0


def test_what_cannot_be_is_refused(config, deployment):
    with pytest.raises(ConfigError, match=r"gateway_s is -1: a delay cannot be negative"):
        Delays(gateway_s=-1)
    with pytest.raises(ConfigError, match="think time or failure is negative"):
        deployment.loop(1, think_s=np.array([-1.0]))
    with pytest.raises(ConfigError, match="engine 8 cannot fail: there are 8"):
        deployment.loop(1, fail_s={8: 1.0})
    with pytest.raises(ConfigError, match="think time or failure is negative"):
        deployment.loop(1, fail_s={0: -1.0})
    with pytest.raises(ConfigError, match="engines 0 to 8, there are 8"):
        deployment.prompts(np.array([1, 1]), np.array([1, 1]), np.array([0, 8]))
    with pytest.raises(RequestError, match="max_seq_len 4096"):
        simulate_point(deployment, [Prompt("", "", 4000, 200)], [0], 1, config.load)
    [large] = plan(["deployment=d"])
    large.deployment = replace(large.deployment, precision=config.deployment.precision)
    with pytest.raises(ConfigError, match="does not fit"):
        deployment_of(large)


def test_without_a_router_no_time_is_spent_in_a_gateway():
    [baseline] = plan(["deployment=a"])
    assert deployment_of(baseline, DELAYS).delays == Delays(0.0, 0.0005, 0.0003)
    assert isinstance(deployment_of(baseline), VirtualDeployment)
