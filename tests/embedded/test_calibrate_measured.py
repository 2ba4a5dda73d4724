"""A correction fitted on a run that a real Triton served: better on the points kept aside."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from er.compose import plan
from er.corpus.tokenizer import llama3
from er.engine.kinds import models
from er.load import users
from er.results.open_run import open_run
from er.results.point import measure
from er.results.request import Prompt
from er.server.embedded import serve
from er.simulation import calibrate
from er.simulation.comparison import published_study
from er.simulation.recorded import recorded_points

pytestmark = pytest.mark.embedded

CONCURRENCIES = (1, 2, 4)
SLOWER = ("engine.correction.memory_scale=1.8", "engine.correction.host_step_s=0.003")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Points of deployment E with a single expert, on an engine slower than the default one."""
    load = ["load.requests_per_user=4", "load.requests_at_least=6"]
    small = ["engine.max_seq_len=1024", "engine.max_batch_size=16", "engine.max_num_tokens=2048"]
    [config] = plan(["deployment=e", "deployment.experts=1", *SLOWER, *load, *small])
    config = replace(config, runs_dir=str(tmp_path_factory.mktemp("runs")))
    random = np.random.default_rng(0)
    tokenizer = llama3(Path(config.cache_dir))
    texts = ["word " * int(random.integers(50, 400)) for _ in range(24)]
    prompts = [Prompt(text, "", len(tokenizer.encode(text)), 24) for text in texts]
    with open_run(Path(config.runs_dir), "e", "0" * 16) as run:
        run.begin(config, {}, {})
        with serve(models(config), config.server, run.path) as [endpoint]:
            for concurrency in CONCURRENCIES:
                point = users.run_point(endpoint, prompts, concurrency, config.load, [].append)
                run.keep_requests(concurrency, point.requests)
                summed_up = measure(point.requests, concurrency, config.load)
                run.add_point(replace(summed_up, invalid=[]))  # too short for a valid one
    return run.path


def test_a_fit_on_measured_points_halves_the_error_of_those_kept_aside(measured, capsys):
    base = published_study().base
    points = recorded_points(measured, base)
    assert [point.concurrency for point in points] == list(CONCURRENCIES)
    default = [calibrate.with_correction(point, base.engine.correction) for point in points]
    unknown = [replace(point, spec=spec) for point, spec in zip(points, default, strict=True)]
    fit_on, aside = unknown[::2], unknown[1::2]
    before = calibrate.errors_of(aside, base.engine.correction)
    after = calibrate.errors_of(aside, calibrate.fit_recorded(fit_on))
    tpot = calibrate.QUANTITIES.index("tpot_s")
    assert before[:, tpot].mean() > 0.2
    assert after[:, tpot].mean() < 0.5 * before[:, tpot].mean()
    calibrate.main([f"run={measured}"])
    assert "of 1 kept aside" in capsys.readouterr().out
