"""Replicas of a baseline share the node's GPUs behind a gateway that chooses in turn."""

import pytest

from er import compose
from er.config import Policy
from er.errors import ConfigError
from er.results.keys import run_key


def test_two_replicas_are_two_experts_that_take_turns() -> None:
    [two] = compose.plan(["deployment=a2", "clock=virtual"])
    assert (two.deployment.experts, two.deployment.gpus, two.deployment.routed) == (2, 8, True)
    assert two.routing.policy is Policy.round_robin
    assert two.title == "2 replicas of Llama 3 70B INT8, TP=4"
    [same] = compose.plan(
        ["deployment=a", "deployment.experts=2", "routing.policy=round_robin", "clock=virtual"]
    )
    assert run_key(two) == run_key(same)


def test_experiment_replicas_compares_eight_gpus_with_eight() -> None:
    assert {job.deployment.gpus for job in compose.plan(["+experiment=replicas"])} == {8}


def test_only_one_engine_is_replicated(tmp_path) -> None:
    with pytest.raises(ConfigError, match="only a deployment of one engine is replicated"):
        compose.plan(["deployment=d", "deployment.replicas=2"])
    with pytest.raises(ConfigError, match="needs 16 GPUs"):
        compose.plan(["deployment=c", "deployment.replicas=2"])
    [job] = compose.jobs_of(["deployment=b2"])
    job.write(tmp_path / "job.json")
    assert compose.read_job(tmp_path / "job.json").config == job.config
