"""Which models a deployment needs."""

from dataclasses import replace

import pytest

from er.compose import plan
from er.config import Engine
from er.engine.kinds import models
from er.errors import ConfigError
from er.simulation.spec import from_json, spec_of


def config(*overrides):
    [only] = plan(overrides)
    return only


def test_a_baseline_is_one_ensemble():
    [model] = models(config("deployment=b"))
    assert model.name == "ensemble"
    assert model.implementation == "er.engine.simulated_model"


def test_a_routed_deployment_has_one_model_for_each_expert():
    names = [model.name for model in models(config("deployment=d"))]
    assert names == [f"expert_{i}" for i in range(8)]


def test_the_model_gets_all_its_parameters_as_text():
    [model] = models(config("deployment=a", "engine.max_batch_size=3"))
    assert from_json(model.parameters["spec"]) == spec_of(
        config("deployment=a", "engine.max_batch_size=3")
    )


def test_a_deployment_that_does_not_fit_its_gpus_is_refused():
    with pytest.raises(ConfigError, match="does not fit h100_sxm"):
        models(config("deployment=d", "deployment.precision=fp16"))


def test_an_unknown_kind_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"engine\.kind is abacus: choose from"):
        models(replace(config(), engine=Engine("abacus", 1)))
