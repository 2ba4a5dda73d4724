"""One scheduler, two clocks: Triton in real time and the virtual clock give the same results."""

from dataclasses import replace
from itertools import takewhile
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
LOOKS = 3


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
    """In two groups that begin alike: only the first of a group has all of it to prefill."""
    random = np.random.default_rng(0)
    encode = llama3(Path(config.cache_dir)).encode
    texts = [
        f"{('red ', 'blue ')[i % 2] * 100}{i} {'word ' * int(random.integers(20, 300))}"
        for i in range(15)
    ]
    shared = [alike(encode(texts[i]), encode(texts[i + 2])) for i in (0, 1)]
    return [
        Prompt(text, "", len(encode(text)), 10 + 2 * i, i % 2, shared[i % 2] if i > 1 else 0)
        for i, text in enumerate(texts)
    ]


@pytest.fixture(scope="module")
def measure(config, prompts, tmp_path_factory):
    """Measures, each time with a server that has no prompt in its cache."""

    def once():
        with serve(models(config), config.server, tmp_path_factory.mktemp("run")) as [endpoint]:
            point = users.run_point(endpoint, prompts, USERS, config.load, [].append)
        return by_prompt(frame(point.requests))

    return once


@pytest.fixture(scope="module")
def measured(measure):
    return measure()


@pytest.fixture(scope="module")
def predicted(config, prompts):
    clock = replace(config.clock, gateway_s=0, request_s=0.001, reply_s=0.001)
    played = Study(replace(config, clock=clock)).play(prompts, USERS, record=True)
    return by_prompt(played.requests().to_pandas())


def alike(one, other):
    """How many tokens both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def by_prompt(requests):
    """Measured requests; every prompt asks for another number of tokens."""
    return requests[~requests.warmup & ~requests.cooldown].set_index("max_tokens").sort_index()


def test_both_serve_the_same_requests_in_full(measured, predicted, prompts):
    expected = {prompt.output_tokens: prompt.input_tokens for prompt in prompts}
    for requests in (measured, predicted):
        assert requests.ok.all()
        assert requests.input_tokens.to_dict() == expected
        assert (requests.output_tokens == requests.index).all()


def test_measured_points_agree_with_predicted_ones(measure, measured, predicted):
    """Other work on the machine makes some requests late, or most of one measurement."""
    for _ in range(LOOKS - 1):
        if not differences(measured, predicted):
            return
        measured = measure()
    assert not differences(measured, predicted)


def differences(measured, predicted):
    """Of what is measured: a quarter of the requests that is too late, or one that is too early."""
    found = []
    bounds = {"ttft_s": (0, TTFT_BOUND_S), "tpot_s": (TPOT_BOUND, 0), "e2e_s": (TPOT_BOUND, 0)}
    for name, (share, at_most_s) in bounds.items():
        real, virtual = (one[name].quantile([0.25, 0.5, 0.75]) for one in (measured, predicted))
        # docs/prediction.md has the medians; pytest -rP shows them.
        print(f"{name}: {real[0.5]:.4f} measured, {virtual[0.5]:.4f} predicted")
        apart_s = share * virtual + at_most_s
        if real[0.25] > (virtual + apart_s)[0.25] or real[0.75] < (virtual - apart_s)[0.75]:
            found.append(f"{name}: {dict(real)} measured, {dict(virtual)} predicted")
    return found
