"""A predicted point is as long as it has to be."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from er import bundle, compose
from er.config import Config
from er.load import batches
from er.results.request import Prompt
from er.results.run_dir import RunDir
from er.study import job, predicted, settling
from er.tracking.publish import publish


@pytest.fixture
def config(tmp_path: Path, cache_dir: Path) -> Config:
    """D with a small KV cache, whose experts get turns in unequal shares."""
    [config] = compose.plan(
        [
            "deployment=d", "clock=virtual", f"runs_dir={tmp_path}", f"cache_dir={cache_dir}",
            "routing.policy=random", "routing.shares=[2,1,1,1,1,1,1,1]", "workload=fixed",
            "engine.max_batch_size=8", "load.requests_at_least=24",
        ]
    )  # fmt: skip
    return config


def test_users_who_gather_at_one_expert_are_waited_for(config: Config) -> None:
    study = predicted.Study(config)
    prompts = batches.build_batch(config, 200)
    assert settling.is_unsteady(study.play(prompts, 200))
    times, longer = settling.settle(study, prompts, 200)
    assert times > 1
    assert longer.load.requests_per_user == times * study.load.requests_per_user
    point = longer.play(prompts, 200).point()
    assert not point.invalid
    halves = np.array_split(longer.play(prompts, 200).measured_ttft_s(), 2)
    assert np.median(halves[0]) == pytest.approx(np.median(halves[1]), rel=settling.CHANGE)
    kept = point.requests // times
    assert predicted.points(config, [200])[0].notes == settling.notes_of(
        times, point.requests, kept
    )


def test_what_is_steady_is_played_as_configured(config: Config) -> None:
    study = predicted.Study(config)
    prompts = batches.build_batch(config, 8)
    assert settling.settle(study, prompts, 8) == (1, study)
    timed = replace(config, load=replace(config.load, duration_s=1.0, requests_per_user=0))
    study = predicted.Study(timed)
    assert settling.settle(study, batches.build_batch(timed, 8), 8) == (1, study)
    assert settling.notes_of(1, 40, 40) == []


def test_of_a_longer_point_the_last_answers_to_the_same_prompts_are_kept(config: Config) -> None:
    study = predicted.Study(config)
    prompts: list[Prompt] = batches.build_batch(config, 20)
    usual = study.play(prompts, 20, record=True).requests().to_pandas()
    longer = study.longer(4).play(prompts, 20, record=True).requests()
    kept = settling.last_of(longer, 20, study.load).to_pandas()
    measured = usual[~usual["warmup"] & ~usual["cooldown"]].set_index("index")
    assert len(kept) == len(measured)
    both = measured.join(kept.set_index("index"), rsuffix="_longer", how="inner")
    assert len(both) == len(measured)
    total = study.longer(4).play(prompts, 20).point().requests
    [note] = settling.notes_of(4, total, len(kept))
    assert note.endswith(f"of its {total:,} requests the last {len(kept):,} are kept")
    assert (both["input_tokens"] == both["input_tokens_longer"]).all()
    assert (both["topic"] == both["topic_longer"]).all()
    assert kept["send_s"].min() > longer.to_pandas()["send_s"].median()


@pytest.mark.parametrize("at_least", [4, 24, 200], ids=["none", "as configured", "longer too"])
def test_a_longer_point_is_published_and_travels_whatever_decides_its_requests(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch, at_least: int
) -> None:
    """At 2 users of 5 requests each: 10 as configured, 40 when four times as long."""
    unsteady = iter([True, False])
    monkeypatch.setattr(settling, "is_unsteady", lambda _: next(unsteady))
    runs, uri = tmp_path / "runs", f"sqlite:///{tmp_path / 'mlflow.db'}"
    [config] = compose.plan(
        [
            "deployment=d", "clock=virtual", "study=two", f"runs_dir={runs}",
            f"cache_dir={cache_dir}", "load.concurrency=[2]", "load.requests_per_user=5",
            f"load.requests_at_least={at_least}", "tracking.enabled=false",
        ]
    )  # fmt: skip
    run = job.run(compose.Job((), config))
    kept = max(10, at_least)
    [point] = run.points()
    assert point.requests == 4 * kept
    assert f"of its {4 * kept:,} requests the last {kept:,} are kept" in point.notes[0]
    assert int(run.requests_of(2, ["measured"])["measured"].sum()) == kept
    publish(RunDir(run.path), uri)
    bundle.answer(["export", "two", str(tmp_path / "two.zip"), f"uri={uri}"])
    there = tmp_path / "there"
    words = [f"runs_dir={there}", f"uri=sqlite:///{there / 'mlflow.db'}"]
    assert bundle.answer(["import", str(tmp_path / "two.zip"), *words]) == 0
