"""Collections: experiments that stand for several others."""

from pathlib import Path

import pytest

from er import compose
from er.errors import ConfigError
from er.options import CONF, Arguments


def test_experiment_all_runs_every_experiment_with_its_own_sweep() -> None:
    jobs = compose.plan(["+experiment=all", "clock=virtual", "load.concurrency=[1]"])
    studies = [job.study for job in jobs]
    assert {name: studies.count(name) for name in dict.fromkeys(studies)} == {
        "ladder": 5,
        "batch_sizes": 12,
        "batch_limit": 10,
        "policies": 8,
        "overhead": 3,
        "replicas": 5,
    }
    assert all(job.load.concurrency == [1] for job in jobs)
    assert {job.clock.gateway_s for job in jobs} == {0.00024, 0.002}


def test_a_user_can_define_a_collection(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("experiments: [fig4, overhead_gateways]\n")
    jobs = compose.jobs_for(Arguments(("+experiment=mine",), config_dir=tmp_path))
    assert [job.config.study for job in jobs] == ["ladder"] * 5 + ["overhead"] * 2


def test_a_collection_with_an_unknown_experiment_is_refused(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("experiments: [fig4, nonsense]\n")
    with pytest.raises(ConfigError, match="nonsense"):
        compose.jobs_for(Arguments(("+experiment=mine",), config_dir=tmp_path))


def test_every_figure_of_an_experiment_is_there() -> None:
    from er.report import views

    for path in sorted((CONF / "experiment").glob("*.yaml")):
        if path.stem in ("all", "overhead", "capacity", "most_users", "smollm2"):
            continue
        for job in compose.plan([f"+experiment={path.stem}"]):
            assert set(job.figures) <= set(views.names())
