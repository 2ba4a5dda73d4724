"""Engines behind a gateway on a virtual clock."""

from dataclasses import replace

import numpy as np
import pytest

from er.compose import plan
from er.errors import ConfigError
from er.results.point import Summary
from er.simulation.deployment import Delays, VirtualDeployment, deployment_of
from er.simulation.limits import RequestError
from er.simulation.outcome import weighted_summary
from er.simulation.request_rows import list_requests
from er.simulation.tables import Times

DELAYS = Delays(gateway_s=0.002, request_s=0.0005, reply_s=0.0003)


@pytest.fixture(scope="module")
def config():
    [only] = plan(["deployment=e", "load.requests_per_user=3"])
    return only


@pytest.fixture(scope="module")
def deployment(config):
    return deployment_of(config, DELAYS)


def statistics(summary):
    """Order statistics and mean, which a simulation gives of every gap as well."""
    names = ("count", "mean", "min", "p25", "p50", "p75", "p95", "p99", "max")
    return {name: getattr(summary, name) for name in names}


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
    assert (outcome.times[:, Times.send_ns] / 1e9).tolist() == at.tolist()


def test_think_time_passes_between_requests(deployment):
    tokens = np.full(4, 50)
    asked = deployment.prompts(tokens, tokens, np.zeros(4, np.int64))
    outcome = deployment.play(asked, deployment.loop(1, think_s=np.full(4, 1.5)))
    pauses = outcome.times[1:, Times.send_ns] - outcome.times[:-1, Times.end_ns]
    assert pauses.tolist() == [1_500_000_000] * 3


def test_a_gateway_serves_one_request_at_a_time(deployment):
    tokens = np.full(3, 50)
    asked = deployment.prompts(tokens, np.ones(3, np.int64), np.arange(3))
    outcome = deployment.play(asked, deployment.loop(3))
    assert np.diff(outcome.times[:, Times.first_ns]).tolist() == [2_000_000] * 2


def test_an_expert_that_fails_takes_its_requests_with_it(deployment):
    random = np.random.default_rng(0)
    asked = deployment.prompts(
        random.integers(30, 300, 400), random.integers(10, 80, 400), random.integers(0, 8, 400)
    )
    outcome = deployment.play(asked, deployment.loop(12, fail_s={3: 0.6}), record=True)
    requests = list_requests(outcome, 12, True, [""] * 400).to_pandas()
    served, lost = requests[requests.error == ""], requests[requests.error != ""]
    assert len(lost)
    assert set(lost.expert) == {3}
    assert (lost.end_s >= 0.6).all()
    assert (lost.output_tokens < lost.max_tokens).all()
    assert (served.end_s[served.expert == 3] < 0.61).all()
    assert (served.output_tokens == served.max_tokens).all()
    point = outcome.point(12, True)
    assert (point.requests, point.errors) == (400, len(lost))
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
        deployment.prompts(np.array([4000]), np.array([200]), np.array([0]))
    [large] = plan(["deployment=d"])
    large.deployment = replace(large.deployment, precision=config.deployment.precision)
    with pytest.raises(ConfigError, match="does not fit"):
        deployment_of(large)


def test_without_a_router_no_time_is_spent_in_a_gateway():
    [baseline] = plan(["deployment=a"])
    assert deployment_of(baseline, DELAYS).delays == Delays(0.0, 0.0005, 0.0003)
    assert isinstance(deployment_of(baseline), VirtualDeployment)
