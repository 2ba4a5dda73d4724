"""What is published when files or tags of a store are lost, and how they come back."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from er import compose
from er.config import Config
from er.errors import ConfigError, ErError
from er.results.run_dir import RunDir
from er.tracking import query
from er.tracking.publish import publish
from er.tracking.store import open_store

Finished = Callable[..., RunDir]


def files_of(uri: str, run_id: str) -> Path:
    return query.pinned(uri, [run_id])[0].files


def test_files_that_are_gone_are_named_and_come_back(
    config: Config, finished_run: Finished, uri: str
) -> None:
    run = finished_run(config)
    run_id = publish(run, uri)
    shutil.rmtree(files_of(uri, run_id))
    with pytest.raises(ErError, match=f"its files are gone .*er.publish {run.path}") as raised:
        query.shown(uri, "ladder")
    assert "\n" not in str(raised.value)
    assert publish(run, uri) == run_id
    [shown] = query.shown(uri, "ladder")
    assert len(shown.points) == 2
    assert len(shown.requests("ttft_s")) == 27
    assert len(open_store(uri).get_metric_history(run_id, "latency/ttft_p50_s")) == 1


@pytest.mark.parametrize("content", [None, "{"])
def test_a_published_file_that_is_lost_or_damaged_comes_back(
    config: Config, finished_run: Finished, uri: str, content: str | None
) -> None:
    run = finished_run(config)
    run_id = publish(run, uri)
    file = files_of(uri, run_id) / "points.json"
    file.unlink()
    if content:
        file.write_text(content)
    assert publish(run, uri) == run_id
    assert file.read_bytes() == (run.path / "points.json").read_bytes()


def test_points_are_not_mixed_with_those_of_a_file_that_is_lost(
    config: Config, finished_run: Finished, uri: str
) -> None:
    run = finished_run(config)
    run_id = publish(run, uri)
    (files_of(uri, run_id) / "points.json").unlink()
    points = run.read("points.json")
    run.write("points.json", [{**points[0], "tokens_per_s": 5.0}])
    new = publish(run, uri)
    assert new != run_id
    history = open_store(uri).get_metric_history(new, "throughput/tokens_per_s")
    assert [metric.value for metric in history] == [5.0]


def test_a_publication_that_was_ended_before_its_last_step_is_done_again(
    config: Config, finished_run: Finished, uri: str
) -> None:
    run = finished_run(config)
    open_store(uri).update_run(publish(run, uri), status="RUNNING")
    with pytest.raises(ConfigError, match="no finished run"):
        query.shown(uri, "ladder")
    run_id = publish(run, uri)
    assert [shown.run_id for shown in query.shown(uri, "ladder")] == [run_id]


def test_another_deployment_whose_files_are_gone_is_left_out(
    config: Config, finished_run: Finished, uri: str
) -> None:
    [other] = compose.plan(["+experiment=fig4", "deployment=b", f"runs_dir={config.runs_dir}"])
    shutil.rmtree(files_of(uri, publish(finished_run(other), uri)))
    run_id = publish(finished_run(config), uri)
    shown = query.shown(uri, "ladder")
    assert [run.run_id for run in shown] == [run_id]
    assert query.comparable_with(uri, shown) == []


def test_a_run_without_its_tags_is_not_shown_until_it_is_published_again(
    config: Config, finished_run: Finished, uri: str
) -> None:
    run = finished_run(config)
    run_id = publish(run, uri)
    open_store(uri).delete_tag(run_id, "er.study_key")
    with pytest.raises(ConfigError, match="no finished run"):
        query.shown(uri, "ladder")
    assert publish(run, uri) == run_id
    assert [shown.run_id for shown in query.shown(uri, "ladder")] == [run_id]


def test_an_experiment_that_was_deleted_in_mlflow_is_named(
    config: Config, finished_run: Finished, uri: str
) -> None:
    run = finished_run(config)
    publish(run, uri)
    client = open_store(uri)
    experiment = client.get_experiment_by_name("ladder").experiment_id
    client.delete_experiment(experiment)
    with pytest.raises(ErError, match=f"was deleted in MLflow: .* restore -x {experiment}, or set"):
        publish(run, uri)
    client.restore_experiment(experiment)
    publish(run, uri)
    assert len(query.shown(uri, "ladder")) == 1
