"""A run directory and its MLflow run: what is the same, what is added, what cannot be published."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from example_requests import answered
from mlflow.tracking import MlflowClient
from sqlalchemy import Engine, text

from er.compose import plan
from er.config import Config
from er.config.plain import plain
from er.errors import ErError
from er.results.labels import run_name
from er.results.point import measure
from er.results.run_dir import RunDir
from er.tracking import store
from er.tracking.experiment import describe_ui
from er.tracking.publish import publish, store_of
from er.tracking.store import first_line, open_store

LETTERS_SHOWN = 20  # of a run's name, in MLflow's table
AWKWARD = 'it\'s "here" #1 & é $HOME'


def add_point(run: RunDir, config: Config, users: int) -> None:
    point = measure([answered(i, users) for i in range(24)], users, config.load)
    run.add_point(replace(point, invalid=[]))


def test_a_run_that_another_command_names_gets_its_tags_and_nothing_else(
    config: Config, finished_run: Callable[..., RunDir]
) -> None:
    run, uri = finished_run(config), config.tracking.uri
    run_id = publish(run, uri)
    client = open_store(uri)
    before = client.get_run(run_id)
    run.relabel(run.read("run.json")["tags"] | {"er.sweep": "later"})
    assert publish(run, uri) == run_id
    after = client.get_run(run_id)
    assert after.data.tags == before.data.tags | {"er.sweep": "later"}
    assert len(client.get_metric_history(run_id, "latency/ttft_p50_s")) == len(
        {point.concurrency for point in run.points() if not point.invalid}
    )


def test_times_source_note_and_workload_are_those_of_the_measurement(
    config: Config, finished_run: Callable[..., RunDir]
) -> None:
    run = finished_run(config)
    command = ["/somewhere/er/run.py", "+experiment=fig4"]
    facts = {"command": command, "git_commit": "c" * 40, "git_dirty": False}
    run.write("provenance.json", facts)
    times = {"started": "2026-01-02T03:04:05.000+00:00", "ended": "2026-01-02T03:05:05.250+00:00"}
    run.write("run.json", run.read("run.json") | times)
    points = run.read("points.json")
    points[0]["notes"] = ["1 time the server was too busy"]
    run.write("points.json", points)
    published = open_store(config.tracking.uri).get_run(publish(run, config.tracking.uri))
    assert published.info.start_time == datetime.fromisoformat(times["started"]).timestamp() * 1e3
    assert published.info.end_time - published.info.start_time == 60_250
    tags = published.data.tags
    assert tags["mlflow.source.name"] == "er.run"
    assert tags["mlflow.source.git.commit"] == "c" * 40
    note = tags["mlflow.note.content"]
    assert "simulated (no real model answered), measured at the client" in note
    assert "python -m er.run +experiment=fig4" in note
    assert "- 2 users: only 3 requests" in note
    assert "To know of points:\n\n- 1 user: 1 time the server was too busy\n" in note
    [sent] = published.inputs.dataset_inputs
    assert sent.dataset.name == "mlperf_like of evals" or "laptop" in sent.dataset.name
    assert json.loads(sent.dataset.source) == {"uri": "config.json"}
    assert [(tag.key, tag.value) for tag in sent.tags] == [("mlflow.data.context", "load")]


def test_a_run_that_grew_stays_the_same_run(
    config: Config, finished_run: Callable[..., RunDir]
) -> None:
    run, uri = finished_run(config), config.tracking.uri
    first = publish(run, uri)
    add_point(run, config, 4)
    assert publish(run, uri) == first
    history = open_store(uri).get_metric_history(first, "latency/ttft_p50_s")
    assert [metric.step for metric in history] == [1, 4]
    assert open_store(uri).get_run(first).info.status == "FINISHED"


def test_a_point_measured_anew_takes_the_place_of_the_old_one(
    config: Config, finished_run: Callable[..., RunDir]
) -> None:
    run, uri = finished_run(config), config.tracking.uri
    first = publish(run, uri)
    entries = run.read("points.json")
    run.write("points.json", entries[:1])
    add_point(run, config, 2)
    second = publish(run, uri)
    assert second != first
    client = open_store(uri)
    assert [m.step for m in client.get_metric_history(second, "latency/ttft_p50_s")] == [1, 2]
    assert client.get_run(first).info.lifecycle_stage == "deleted"


def test_an_awkward_path_is_published(
    config: Config, finished_run: Callable[..., RunDir], tmp_path: Path
) -> None:
    config.runs_dir = str(tmp_path / AWKWARD)
    config.tracking.uri = f"sqlite:///{config.runs_dir}/mlflow.db"
    run = finished_run(config)
    first = publish(run, config.tracking.uri)
    assert publish(run, config.tracking.uri) == first
    assert (tmp_path / AWKWARD / "mlflow.db").exists()
    assert (tmp_path / AWKWARD / "mlartifacts" / "ladder" / first / "artifacts").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [AWKWARD]


@pytest.mark.parametrize("name", ["what?", "%20"])
def test_a_path_that_an_address_cannot_hold_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ErError, match=r"has \? or % in its path"):
        open_store(f"sqlite:///{tmp_path / name}/mlflow.db")
    assert not list(tmp_path.iterdir())


def test_the_store_of_a_run_is_found_from_any_directory(
    config: Config, finished_run: Callable[..., RunDir], tmp_path: Path
) -> None:
    run = finished_run(config)
    settings = run.read("config.json")
    settings |= {"runs_dir": "runs"}
    settings["tracking"]["uri"] = "sqlite:///runs/mlflow.db"
    run.write("config.json", settings)
    assert store_of(run) == f"sqlite:///{tmp_path}/runs/mlflow.db"


# Forked where all is imported, so that they really begin together.
AT_ONCE = """
import os, sys
from pathlib import Path
from er.results.run_dir import RunDir
from er.tracking.publish import publish
from er.tracking.study import publish_study
folder, uri, *runs = sys.argv[1:]
for run in runs:
    if not os.fork():
        publish(RunDir(Path(run)), uri)
        publish_study(uri, "ladder", "measured", Path(folder), [Path(run) / "points.json"], "")
        os._exit(0)
sys.exit(any([os.wait()[1] for _ in runs]))
"""


def test_first_runs_at_once_share_a_new_store(
    config: Config, finished_run: Callable[..., RunDir]
) -> None:
    uri, runs = config.tracking.uri, [finished_run(config) for _ in range(5)]
    arguments = [config.runs_dir, uri, *(str(run.path) for run in runs)]
    done = subprocess.run(
        [sys.executable, "-c", AT_ONCE, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    client = open_store(uri)
    experiment = client.get_experiment_by_name("ladder")
    published = client.search_runs([experiment.experiment_id])
    of_the_study = [run for run in published if "er.views_of" in run.data.tags]
    assert (len(published), len(of_the_study)) == (6, 1)


def test_a_new_store_whose_tables_were_half_made_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE experiment_tags (x INTEGER)"))
        raise KeyboardInterrupt

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with monkeypatch.context() as patched:
        patched.setattr(store, "_initialize_tables", stop)
        with pytest.raises(KeyboardInterrupt):
            open_store(uri)
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db.lock"]
    assert open_store(uri).search_experiments()
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", "mlflow.db.lock"}


def test_a_locked_store_is_one_line_and_publishing_works_afterwards(
    config: Config, finished_run: Callable[..., RunDir], capfd: pytest.CaptureFixture[str]
) -> None:
    run, uri = finished_run(config), config.tracking.uri
    open_store(uri)
    lock = sqlite3.connect(uri.removeprefix("sqlite:///"), isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ErError, match=r"database is locked.*python -m er\.publish") as error:
        publish(run, uri)
    lock.close()
    assert len(str(error.value).splitlines()) == 1
    assert "Traceback" not in capfd.readouterr().err
    assert open_store(uri).get_run(publish(run, uri)).info.status == "FINISHED"


def test_the_pages_are_named_so_that_they_open_from_anywhere(config: Config) -> None:
    client = open_store(config.tracking.uri)
    made = client.create_experiment("ladder")
    lines = describe_ui(config.tracking.uri, ["ladder"])
    assert any(
        f"/#/experiments/{made}/runs?workflowType=machine_learning&compareRunsMode=CHART" in line
        for line in lines
    )
    assert any(Path(config.runs_dir, "mlflow.db").as_posix() in line for line in lines)


@pytest.mark.parametrize(
    "other",
    [
        "deployment.tp=8",
        "hardware=h200_sxm",
        "seed=1",
        "engine.max_batch_size=8",
        "workload=fixed",
        "clock=virtual",
        "load.think_time_s=1",
    ],
)
def test_two_runs_that_differ_have_two_names(other: str) -> None:
    names = []
    for command in ([], [other]):
        [config] = plan(["deployment=b", *command])
        names.append(run_name(plain(config), ["er/run.py", *command]))
    assert names[0] != names[1]
    assert names[0] == "B FP16 TP4"


@pytest.mark.parametrize("experiment", ["ladder", "batch_limit", "fig3", "policies", "replicas"])
def test_the_first_letters_of_a_name_tell_the_runs_of_an_experiment_apart(experiment: str) -> None:
    configs = plan([f"+experiment={experiment}"])
    names = [run_name(plain(config), ["er/run.py", f"+experiment={experiment}"])[:LETTERS_SHOWN]
             for config in configs]  # fmt: skip
    assert len(set(names)) == len(configs)


def test_every_artifact_is_json(config: Config, finished_run: Callable[..., RunDir]) -> None:
    def refuse(text: str) -> None:
        raise ValueError(text)

    run = finished_run(config)
    run_id = publish(run, config.tracking.uri)
    client = MlflowClient(config.tracking.uri)
    for file in client.list_artifacts(run_id):
        if file.path.endswith(".json"):
            path = client.download_artifacts(run_id, file.path)
            json.loads(Path(path).read_text(), parse_constant=refuse)
    shutil.rmtree(run.path)


@pytest.mark.parametrize("text", ["[]", "{}", '{"tracking": 3}', "null", '"a"'])
def test_a_configuration_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ErError, match=r"config.json is damaged \(.+\): put the file back, or move"):
        store_of(RunDir(tmp_path))


def test_a_full_disk_is_named_and_not_what_sqlalchemy_says_aside() -> None:
    aside = "(raised as a result of Query-invoked autoflush; consider using a block)"
    error = RuntimeError(
        f"{aside}\n(sqlite3.OperationalError) database or disk is full\n[SQL: ...]"
    )
    assert first_line(error) == "(sqlite3.OperationalError) database or disk is full"
    assert first_line(RuntimeError(aside)) == "RuntimeError"
    assert first_line(OSError()) == "OSError"
