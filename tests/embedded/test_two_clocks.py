"""One scheduler, two clocks: Triton in real time and the virtual clock tell the same story."""

from pathlib import Path

import numpy as np
import pytest

from er.engine.kinds import models
from er.load import users
from er.results import Prompt
from er.server.embedded import serve
from er.simulation.deployment import Delays, deployment_of, simulate_point
from er.sweep import plan
from er.tokenizer import llama3

pytestmark = pytest.mark.embedded

USERS = 3
# What Triton, the client and the loopback add, generously.
TTFT_BOUND_S = 0.02
TPOT_BOUND = 0.15


@pytest.fixture(scope="module")
def config():
    [config] = plan(["deployment=b", "load.requests_per_user=5", "load.requests_at_least=1"])
    return config


@pytest.fixture(scope="module")
def prompts(config):
    random = np.random.default_rng(0)
    tokenizer = llama3(Path(config.cache_dir))
    texts = ["word " * int(random.integers(50, 400)) for _ in range(15)]
    return [
        Prompt(text, "", len(tokenizer.encode(text)), 10 + 2 * i) for i, text in enumerate(texts)
    ]


@pytest.fixture(scope="module")
def measured(config, prompts, tmp_path_factory):
    with serve(models(config), config.server, tmp_path_factory.mktemp("run")) as [endpoint]:
        point = users.run_point(endpoint, prompts, USERS, config.load, [].append)
    return by_prompt(point.requests)


@pytest.fixture(scope="module")
def predicted(config, prompts):
    deployment = deployment_of(config, Delays(request_s=0.001, reply_s=0.001))
    return by_prompt(simulate_point(deployment, prompts, [0] * len(prompts), USERS, config.load))


def by_prompt(requests):
    """Measured requests; every prompt asks for another number of tokens."""
    return {request.max_tokens: request for request in requests if not request.warmup}


def test_both_serve_the_same_requests_in_full(measured, predicted, prompts):
    assert measured.keys() == predicted.keys() == {prompt.output_tokens for prompt in prompts}
    for tokens, request in measured.items():
        assert request.ok
        assert request.output_tokens == predicted[tokens].output_tokens == tokens
        assert request.input_tokens == predicted[tokens].input_tokens


def test_measured_points_lie_on_the_predicted_ones(measured, predicted):
    def median(requests, quantity):
        return np.median([getattr(request, quantity) for request in requests.values()])

    assert median(measured, "tpot_s") == pytest.approx(median(predicted, "tpot_s"), rel=TPOT_BOUND)
    assert median(measured, "ttft_s") == pytest.approx(
        median(predicted, "ttft_s"), abs=TTFT_BOUND_S
    )
    assert median(measured, "e2e_s") == pytest.approx(median(predicted, "e2e_s"), rel=TPOT_BOUND)
