"""One scheduler, two clocks: Triton in real time and the virtual clock give the same results."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from er.compose import plan
from er.corpus.tokenizer import llama3
from er.engine.kinds import models
from er.load import users
from er.results.request import Prompt
from er.results.request_table import frame
from er.server.embedded import serve
from er.study.predicted import Study

pytestmark = pytest.mark.embedded

USERS = 3
# What Triton, the client and the loopback add, generously.
TTFT_BOUND_S = 0.02
TPOT_BOUND = 0.15


ALL_FEATURES = (
    "engine.chunked_context=true",
    "engine.scheduler_policy=max_utilization",
    "engine.kv_cache_reuse=true",
    "engine.max_num_tokens=256",  # longer prompts come in chunks
)


@pytest.fixture(scope="module", params=[(), ALL_FEATURES], ids=["defaults", "all_features"])
def config(request):
    shape = ["deployment=b", "load.requests_per_user=5", "load.requests_at_least=1"]
    [config] = plan([*shape, *request.param])
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
    return by_prompt(frame(point.requests))


@pytest.fixture(scope="module")
def predicted(config, prompts):
    clock = replace(config.clock, gateway_s=0, request_s=0.001, reply_s=0.001)
    played = Study(replace(config, clock=clock)).play(prompts, USERS, record=True)
    return by_prompt(played.requests().to_pandas())


def by_prompt(requests):
    """Measured requests; every prompt asks for another number of tokens."""
    return requests[~requests.warmup & ~requests.cooldown].set_index("max_tokens").sort_index()


def test_both_serve_the_same_requests_in_full(measured, predicted, prompts):
    expected = {prompt.output_tokens: prompt.input_tokens for prompt in prompts}
    for requests in (measured, predicted):
        assert requests.ok.all()
        assert requests.input_tokens.to_dict() == expected
        assert (requests.output_tokens == requests.index).all()


def test_measured_points_agree_with_predicted_ones(measured, predicted):
    real, virtual = measured.median(numeric_only=True), predicted.median(numeric_only=True)
    for name in ("ttft_s", "tpot_s", "e2e_s"):  # docs/prediction.md has them; pytest -rP shows them
        print(f"{name}: {real[name]:.4f} measured, {virtual[name]:.4f} predicted")
    assert real.tpot_s == pytest.approx(virtual.tpot_s, rel=TPOT_BOUND)
    assert real.ttft_s == pytest.approx(virtual.ttft_s, abs=TTFT_BOUND_S)
    assert real.e2e_s == pytest.approx(virtual.e2e_s, rel=TPOT_BOUND)
