"""Fitting the correction on measured runs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from er.compose import plan
from er.errors import ErError
from er.results import run_dir
from er.results.request import Prompt
from er.simulation import calibrate
from er.simulation.recorded import recorded_points, spread
from er.simulation.validate import published_study
from er.study import predicted

TRUE = {"step_time_scale": 1.5, "host_overhead_s": 0.0012}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose engine was slower than the tables by a known correction."""
    overrides = [f"engine.{name}={value}" for name, value in TRUE.items()]
    load = ["load.requests_at_least=40", "routing.policy=random"]
    small = ["engine.max_seq_len=1024", "engine.max_batch_size=32", "engine.max_num_tokens=2048"]
    [config] = plan(["deployment=e", *load, *overrides, *small])
    config = replace(config, runs_dir=str(tmp_path_factory.mktemp("runs")))
    with run_dir.opened(Path(config.runs_dir), "e", "0" * 16) as made:
        made.begin(config, {}, {})
    random = np.random.default_rng(0)
    prompts = [Prompt("", "", *map(int, random.integers(20, 300, 2))) for _ in range(60)]
    study = predicted.Study(config)
    for users in (1, 12):
        made.keep_table(users, study.play(prompts, users, record=True).requests())
    return made


@pytest.fixture(scope="module")
def points(run):
    return recorded_points(run.path, published_study().base)


def test_a_recorded_point_is_simulated_as_it_was_sent(points):
    assert [point.users for point in points] == [1, 12]
    for point in points:
        assert point.simulated(point.spec) == pytest.approx(point.medians)


def test_the_fit_gives_back_what_was_measured(points):
    """Scale and overhead trade off against each other, so the times are held, not the pair."""
    scale, overhead_s = calibrate.minimise(lambda s, o: calibrate.recorded_loss(points, s, o))
    assert scale == pytest.approx(TRUE["step_time_scale"], rel=0.1)
    for point in points:
        fitted = point.simulated(calibrate.corrected(point.spec, scale, overhead_s))
        assert fitted == pytest.approx(point.medians, rel=0.02)


def test_the_spread_of_repeats_is_told_when_there_are_any(points):
    assert np.isnan(list(spread(points).values())).all()
    slower = [
        replace(point, medians={name: 1.1 * value for name, value in point.medians.items()})
        for point in points
    ]
    assert spread([*points, *slower]) == pytest.approx({"ttft_s": 0.1 / 1.05, "tpot_s": 0.1 / 1.05})


def test_what_is_no_run_is_refused_by_name(tmp_path):
    with pytest.raises(ErError, match=f"^run={tmp_path} cannot be read"):
        calibrate.main([f"run={tmp_path}"])


def test_the_configuration_holds_what_the_published_rows_give():
    base = published_study().base
    assert calibrate.published_scale(base.engine.host_overhead_s) == base.engine.step_time_scale
