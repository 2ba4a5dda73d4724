"""Fitting the correction on measured runs."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from er import cli
from er.compose import plan
from er.config import Correction
from er.results.open_run import open_run
from er.results.request import Prompt
from er.simulation import calibrate, fit, fit_published
from er.simulation.comparison import published_study
from er.simulation.published import fits
from er.simulation.recorded import kept_aside, recorded_points, spread
from er.study import predicted

TRUE = {"memory_scale": 1.6, "communication_scale": 1.6, "host_step_s": 0.0012}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose engine was slower than the tables by a known correction."""
    overrides = [f"engine.correction.{name}={value}" for name, value in TRUE.items()]
    load = ["load.requests_at_least=40", "routing.policy=random"]
    small = ["engine.max_seq_len=1024", "engine.max_batch_size=32", "engine.max_num_tokens=2048"]
    [config] = plan(["deployment=e", *load, *overrides, *small])
    config = replace(config, runs_dir=str(tmp_path_factory.mktemp("runs")))
    with open_run(Path(config.runs_dir), "e", "0" * 16) as made:
        made.begin(config, {}, {})
    random = np.random.default_rng(0)
    prompts = [Prompt("", "", *map(int, random.integers(20, 300, 2))) for _ in range(60)]
    study = predicted.Study(config)
    for users in (1, 2, 4, 12):
        played = study.play(prompts, users, record=True)
        made.keep_table(users, played.requests())
        made.add_point(replace(played.point(), invalid=["few"] if users == 2 else []))
    return made


@pytest.fixture(scope="module")
def points(run):
    return recorded_points(run.path, published_study().base)


def test_a_recorded_point_is_simulated_as_it_was_sent(points):
    assert [point.concurrency for point in points] == [1, 4, 12]
    for point in points:
        assert point.simulated(point.spec) == pytest.approx(point.medians)


@pytest.mark.parametrize(
    "load",
    [
        ["load=open_loop", "load.user_rate_per_s=5"],
        ["load=think_time", "load.think_time_s=0.05"],
        ["load.ramp_s=2"],
    ],
)
def test_a_point_of_another_load_is_simulated_as_it_was_sent(tmp_path, load):
    few = ["load.requests_per_user=5", "load.duration_s=0", "load.warmup_requests_per_user=1"]
    [config] = plan(["deployment=e", *load, *few, "routing.policy=random"])
    with open_run(tmp_path, "e", "0" * 16) as made:
        made.begin(config, {}, {})
    random = np.random.default_rng(0)
    prompts = [Prompt("", "", *map(int, random.integers(20, 300, 2))) for _ in range(60)]
    played = predicted.Study(config).play(prompts, 8, record=True)
    made.keep_table(8, played.requests())
    made.add_point(replace(played.point(), invalid=[]))
    [point] = recorded_points(made.path, published_study().base)
    assert point.simulated(point.spec) == pytest.approx(point.medians, rel=1e-4)


def from_the_default(points):
    """The same points of an engine of whose correction nothing is known yet."""
    default = published_study().base.engine.correction
    return [replace(p, spec=calibrate.with_correction(p, default)) for p in points]


def test_a_fit_on_some_points_predicts_those_kept_aside(points):
    """Parameters trade off against each other, so the times are held, not the parameters."""
    known, aside = from_the_default(points)[::2], from_the_default(points)[1::2]
    before = calibrate.errors_of(aside, known[0].spec.engine.correction)
    after = calibrate.errors_of(aside, calibrate.fit_recorded(known))
    assert before.max() > 0.2
    assert after.max() < 0.05


def test_the_report_says_how_much_better_points_kept_aside_became(points):
    lines = calibrate.report(from_the_default(points))
    assert lines[0].endswith("was measured on simulated engines: this says nothing of a GPU")
    assert lines[1] == "fitted on 2 points; of 1 kept aside, mean error:"
    assert all("before" in line and line.endswith("after") for line in lines[2:4])
    assert lines[-1].startswith("engine.correction.memory_scale=")
    assert "none is kept aside" in calibrate.report(from_the_default(points)[:1])[1]


def test_the_spread_of_repeats_is_told_when_there_are_any(points):
    assert np.isnan(list(spread(points).values())).all()
    slower = [
        replace(point, medians={name: 1.1 * value for name, value in point.medians.items()})
        for point in points
    ]
    assert spread([*points, *slower]) == pytest.approx({"ttft_s": 0.1 / 1.05, "tpot_s": 0.1 / 1.05})


def test_repeats_of_a_point_are_on_one_side(points):
    known, aside = kept_aside([*points, *points])
    assert [point.concurrency for point in known] == [1, 12, 1, 12]
    assert [point.concurrency for point in aside] == [4, 4]


def invalid_alone(folder):
    entries = json.loads((folder / "points.json").read_text())
    kept = [{**entry, "invalid": ["too short", "Little"]} for entry in entries]
    (folder / "points.json").write_text(json.dumps(kept))


def of_another_model(folder):
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace("llama3_8b", "qwen_7b"))


def on_another_node(folder):
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace("h100_sxm", "b200"))


def of_a_foreign_server(folder):
    (folder / "config.json").write_text('{"target": {"url": "http://127.0.0.1:1"}}')


def without_requests(folder):
    shutil.rmtree(folder / "requests")


def change_requests(folder, change):
    for file in (folder / "requests").glob("*.parquet"):
        change(pd.read_parquet(file)).to_parquet(file)


def the_last_requests_alone(folder):
    change_requests(folder, lambda rows: rows.tail(5))


def answers_of_one_token(folder):
    change_requests(folder, lambda rows: rows.assign(tpot_s=np.nan))


def without_a_column(folder):
    change_requests(folder, lambda rows: rows.drop(columns="send_s"))


def change_config(folder, change):
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def with_a_reused_cache(folder):
    change_config(folder, lambda config: config["engine"].update(kv_cache_reuse=True))


def with_an_odd_model(folder):
    change_config(folder, lambda config: config["deployment"]["model"].update(odd=1))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (invalid_alone, "has no valid point with requests (too short; Little): give one that has"),
        (of_another_model, "no kernel times of qwen_7b on h100_sxm: choose llama3_70b or"),
        (on_another_node, "no kernel times are kept for it: choose a100_sxm, h100_sxm or"),
        (of_a_foreign_server, "measured no deployment of er: its engine is not known"),
        (
            without_requests,
            "has no valid point with requests (its requests are missing; few): give one that has",
        ),
        (the_last_requests_alone, "(only the last of its requests are kept; few)"),
        (answers_of_one_token, "(no answer has two tokens; few)"),
        (without_a_column, "no column send_s"),
        (with_a_reused_cache, "reused its KV cache, and keeps not which prompts begin alike"),
        (with_an_odd_model, "cannot be read (TypeError"),
        (shutil.rmtree, "is no run directory"),
    ],
)
def test_a_run_that_says_nothing_is_refused_in_one_line(run, tmp_path, capsys, change, says):
    folder = tmp_path / "run"
    shutil.copytree(run.path, folder)
    change(folder)
    assert cli.run("calibrate", lambda: calibrate.main([f"run={folder}"])) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert str(folder) in line
    assert says in line


def test_a_study_in_place_of_its_run_is_refused_with_the_run(run, capsys):
    assert cli.run("calibrate", lambda: calibrate.main([f"run={run.path.parent}"])) == 2
    assert f"give a run of this study, such as run={run.path}" in capsys.readouterr().err


def test_a_run_given_twice_is_refused(run, capsys):
    words = [f"run={run.path}", f"run={run.path}/"]
    assert cli.run("calibrate", lambda: calibrate.main(words)) == 2
    assert f"given twice: {run.path}" in capsys.readouterr().err


def test_what_is_printed_can_be_given_as_overrides(points):
    *_, overrides = calibrate.report(from_the_default(points)[:1])
    [config] = plan(["deployment=e", *overrides.split()])
    assert config.engine.correction.memory_scale > 1.2


TWO = (("memory_scale",), ("host_step_s",))


def times(correction):
    """Figures that depend on two parameters alone."""
    steps = np.array([1.0, 3.0, 10.0])
    return steps * correction.memory_scale + 1e3 * correction.host_step_s


def test_a_fit_gives_back_what_made_the_figures_and_keeps_times_from_falling_below_zero():
    true = times(Correction(1.4, 1, 1, 0.0007, 0, 0, 0))
    found, _ = fit.fitted(TWO, times, true, np.full(3, 20.0))
    assert found.memory_scale == pytest.approx(1.4, rel=0.01)
    assert found.host_step_s == pytest.approx(0.0007, rel=0.02)
    below, _ = fit.fitted(TWO, times, np.array([0.5, 2.5, 9.5]), np.full(3, 20.0))
    assert below.host_step_s == pytest.approx(0, abs=1e-6)


def test_draws_spread_around_the_fit_as_the_runs_disagree():
    true = times(Correction(1.4, 1, 1, 0.0007, 0, 0, 0)) * np.array([1.05, 0.95, 1.05])
    weight = np.full(3, 20.0)
    found, jacobian = fit.fitted(TWO, times, true, weight)
    residuals = np.log(times(found) / true) * weight
    values = fit.values_of(TWO, found)
    draws = fit.resampled(values, jacobian, residuals, [0, 1, 2], 0, 200)
    assert draws.shape == (200, 2)
    assert np.median(draws, axis=0) == pytest.approx(values, rel=0.2)
    assert (draws.std(axis=0) > 0.01).all()
    exact = fit.resampled(values, jacobian, np.zeros(3), [0, 1, 2], 0, 5)
    assert exact == pytest.approx(np.tile(values, (5, 1)))


def test_a_fit_on_other_runs_moves_as_the_model_says():
    """Linear in its values, a fit on some of the figures is exactly where `refit` says."""
    jacobian = np.array([[1.0], [2.0], [3.0], [1.5]])
    residuals = 1e-4 * np.array([1.0, -2.0, 3.0, 0.5])
    often = np.array([1, 0, 1, 1])
    moved = fit.refit(jacobian, residuals, often)
    kept = often == 1
    best = np.linalg.lstsq(jacobian[kept], -residuals[kept], rcond=None)[0]
    all_of_them = np.linalg.lstsq(jacobian, -residuals, rcond=None)[0]
    assert moved == pytest.approx(best - all_of_them, rel=1e-3)


def test_every_kind_of_run_is_in_every_fold():
    folds = fit.folds_of(["a"] * 12 + ["b"] * 7, seed=1)
    for part in range(fit.FOLDS):
        assert 2 <= (folds[:12] == part).sum() <= 3
        assert 1 <= (folds[12:] == part).sum() <= 2
    assert folds.tolist() != sorted(folds.tolist())


def test_a_factor_covers_nine_of_ten_further_figures():
    random = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        factors = np.exp(np.abs(random.normal(0, 0.1, 40)))
        covered.append(np.exp(np.abs(random.normal(0, 0.1))) <= fit_published.covering(factors))
    assert 0.85 <= np.mean(covered) <= 0.97
    assert fit_published.covering([1.2, 1.1]) == 1.2


def test_the_configuration_holds_the_chosen_fit():
    kept = fits()
    assert asdict(published_study().base.engine.correction) == pytest.approx(
        kept["candidates"][kept["chosen"]], rel=1e-3
    )
