"""MLflow: what a run directory becomes there, and what figures read back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from er.config import Config
from er.errors import ErError
from er.results.point import Summary
from er.results.run_dir import RunDir
from er.tracking.metrics import values_of
from er.tracking.publish import publish
from er.tracking.store import open_store


def test_metrics_have_their_concurrency_as_step_and_invalid_ones_another_name(
    config: Config, finished_run: Callable[..., RunDir], uri: str
) -> None:
    finished = finished_run(config)
    finished.write("engine.json", {"largest_batch_at_512_tokens": "9"})
    run_id = publish(finished, uri)
    client = MlflowClient(tracking_uri=uri)

    def steps(name: str) -> list[int]:
        return [metric.step for metric in client.get_metric_history(run_id, name)]

    assert steps("latency/ttft_p50_s") == [1]
    assert steps("validity/invalid_ttft_p50_s") == [2]
    assert steps("validity/little_ratio") == [1, 2]
    assert [(m.step, m.value) for m in client.get_metric_history(run_id, "validity/valid")] == [
        (1, 1.0),
        (2, 0.0),
    ]
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["deployment.precision"] == "int8"
    assert len(run.data.params) <= 25
    assert run.data.tags["er.invalid_points"] == "1"
    names = {file.path for file in client.list_artifacts(run_id)}
    assert {"engine.json", "points.csv"} <= names
    assert {"config.json", "points.json", "provenance.json", "requests"} <= names


def test_thinking_has_metrics_beside_ttft(
    config: Config, finished_run: Callable[..., RunDir]
) -> None:
    point = finished_run(config).points()[0]
    assert "latency/answer_ttft_p50_s" not in values_of(point)
    thinks = replace(point, reasoning_tokens_mean=3.0, answer_ttft_s=Summary(count=9, p50=0.4))
    assert values_of(thinks)["latency/answer_ttft_p50_s"] == 0.4
    assert values_of(thinks)["traffic/reasoning_tokens_mean"] == 3.0


def test_publishing_twice_makes_one_run(
    config: Config, finished_run: Callable[..., RunDir], uri: str
) -> None:
    run = finished_run(config)
    assert publish(run, uri) == publish(run, uri)


@pytest.mark.parametrize("content", [b"this is no database, but a text"])
def test_a_store_that_cannot_be_opened_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(content)
    with pytest.raises(ErError, match=r"mlflow\.db is not an SQLite database"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == content


def test_a_store_in_an_impossible_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ErError, match="cannot open the MLflow store"):
        open_store(f"sqlite:///{tmp_path}/file/mlflow.db")


def test_a_failed_publication_says_how_to_repeat_it(
    config: Config, finished_run: Callable[..., RunDir], uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    run = finished_run(config)
    monkeypatch.setattr(MlflowClient, "log_artifacts", full)
    with pytest.raises(ErError, match=r"No space left.*python -m er\.publish") as error:
        publish(run, uri)
    assert str(run.path) in str(error.value)
    monkeypatch.undo()
    client = MlflowClient(tracking_uri=uri)
    assert client.get_run(publish(run, uri)).info.status == "FINISHED"


def test_a_relative_address_is_a_file_of_the_folder_where_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
        monkeypatch.chdir(folder)
        client = open_store("sqlite:///mlflow.db")
        assert client.get_experiment_by_name("ladder") is None
        client.create_experiment("ladder")
