"""Publish a run directory to MLflow: one run for each, brought up to date when it has grown."""

import getpass
import hashlib
import json
import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mlflow.artifacts import download_artifacts
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from er.errors import ErError
from er.results import names
from er.results.labels import flatten, run_name
from er.results.run_dir import RunDir, id_of
from er.results.sqlite_file import SQLITE
from er.tracking.dataset import workload_input
from er.tracking.experiment import experiment_for
from er.tracking.metrics import metrics
from er.tracking.note import csv, module_of, note
from er.tracking.parameters import parameters
from er.tracking.store import STORE_ERRORS, first_line, one_at_a_time, open_store

STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
METRICS_AT_ONCE = 1000  # MLflow takes no more
APART = (names.PROVENANCE, names.RECORD)  # may differ in a run that is the same
FOLDERS = ("requests", "gpus", "logs", "sessions", "figures")


@dataclass(frozen=True)
class Publication:
    """A run in MLflow."""

    run_id: str
    kept: bool  # all of it was there already


def publish(run: RunDir, uri: str) -> str:
    """Log a run directory and return the MLflow run's id; see `update`."""
    return update(run, uri).run_id


def update(run: RunDir, uri: str) -> Publication:
    """Log a run directory, as far as MLflow does not have it yet.

    The same directory is the same MLflow run, to which new points are added. A point that was
    measured anew makes a new one in its place: MLflow cannot take a metric back.
    Raises ErError when a file of the run is damaged, and when the store cannot be written; the run
    directory stays complete.
    """
    run.check()
    client = open_store(uri)
    config, record = run.read(names.CONFIG), run.read(names.RECORD)
    try:
        with one_at_a_time(uri):
            experiment_id = experiment_for(client, config["study"], run.path.absolute().parents[1])
            known = find(client, experiment_id, run.path)
            complete = known and _is_complete(known, run)
            if known and complete and _has_files(client, known, run):
                _retag(client, known, {names.ID_TAG: id_of(record), **record["tags"]})
                return Publication(str(known.info.run_id), kept=True)
            if known and not (complete or _grows(known, run)):
                client.delete_run(known.info.run_id)
                known = None
            run_id = (
                known.info.run_id if known else _create(client, experiment_id, run, config, record)
            )
            _log(client, run_id, run, config, record)
    except STORE_ERRORS as error:
        raise ErError(
            f"cannot publish to {uri}: {first_line(error)}: everything measured is in "
            f"{run.path}; publish it later with python -m er.publish {run.path}"
        ) from error
    return Publication(str(run_id), kept=False)


def store_of(run: RunDir) -> str:
    """The store that the run's configuration names.

    A file among the runs is looked for beside the run: a relative path holds from any directory.
    Raises ErError when the configuration is missing or damaged.
    """
    config = run.read(names.CONFIG)
    uri, runs_dir, _ = str(config["tracking"]["uri"]), Path(config["runs_dir"]), config["study"]
    path = Path(uri.removeprefix(SQLITE))
    if uri.startswith(SQLITE) and path.is_relative_to(runs_dir):
        return f"{SQLITE}{run.path.absolute().parents[1] / path.relative_to(runs_dir)}"
    return uri


def find(client: MlflowClient, experiment_id: str, folder: Path) -> Run | None:
    """The run that was published from `folder`."""
    runs = client.search_runs([experiment_id], f"tags.`er.run_dir_digest` = '{identity(folder)}'")
    return runs[0] if runs else None


def identity(folder: Path) -> str:
    """A folder's path as a filter can hold it: quotes in the path would end the filter's text."""
    return hashlib.sha256(str(folder.absolute()).encode()).hexdigest()


def _content(run: RunDir) -> str:
    """What a published run was made from; its tags apart, which can be set again."""
    files = [path for path in sorted(run.path.glob("*.json")) if path.name not in APART]
    record = {name: value for name, value in run.read(names.RECORD).items() if name != "tags"}
    contents = [json.dumps(record, sort_keys=True).encode(), *(f.read_bytes() for f in files)]
    return hashlib.sha256(b"\0".join(contents)).hexdigest()


def _is_complete(known: Run, run: RunDir) -> bool:
    """Whether a publication of the same content came to its end."""
    ended = known.info.status != "RUNNING"
    return ended and known.data.tags.get("er.content") == _content(run)


def _has_files(client: MlflowClient, known: Run, run: RunDir) -> bool:
    """Whether the files of a published run are still there: they lie outside of the database."""
    there = {file.path: file.file_size for file in client.list_artifacts(known.info.run_id)}
    return all(
        path.name in there and (path.name in APART or there[path.name] == path.stat().st_size)
        for path in run.path.glob("*.json")
    )


def _retag(client: MlflowClient, known: Run, tags: dict[str, str]) -> None:
    """Set the tags that differ, such as which command named the run last."""
    changed = {name: value for name, value in tags.items() if known.data.tags.get(name) != value}
    if changed:
        client.log_batch(known.info.run_id, tags=[RunTag(*item) for item in changed.items()])


def _grows(known: Run, run: RunDir) -> bool:
    """Whether every point that MLflow has of a complete publication is still in the directory."""
    if known.info.status == "RUNNING" or "er.content" not in known.data.tags:
        return False
    try:
        file = download_artifacts(artifact_uri=f"{known.info.artifact_uri}/points.json")
        had = RunDir(Path(file).parent).read(names.POINTS)
    except (MlflowException, OSError, ErError):
        return known.data.tags.get("er.points") == "0"
    have = run.read(names.POINTS) if run.has(names.POINTS) else []
    return all(point in have for point in had)


def _create(
    client: MlflowClient,
    experiment_id: str,
    run: RunDir,
    config: dict[str, Any],
    record: dict[str, Any],
) -> str:
    provenance = run.read(names.PROVENANCE)
    command = provenance.get("command", [])
    tags = {
        "mlflow.source.name": module_of(command[0]) if command else "er",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": getpass.getuser(),
        "er.run_dir": str(run.path.absolute()),
        "er.run_dir_digest": identity(run.path),
        "er.run_key": record["key"],
        names.ID_TAG: id_of(record),
        **record["tags"],
    }
    if provenance.get("git_commit"):
        tags["mlflow.source.git.commit"] = provenance["git_commit"]
        tags["mlflow.source.git.dirty"] = str(provenance["git_dirty"]).lower()
    name = run_name(config, command)
    same = [
        other
        for other in client.search_runs([experiment_id])
        if other.info.run_name == name and other.data.tags.get("er.run_key") != record["key"]
    ]
    if same:  # differs in something that no option of the command names
        name += f", key {record['key'][:6]}"
    created = client.create_run(
        experiment_id, start_time=_ms(record["started"]), tags=tags, run_name=name
    )
    run_id = str(created.info.run_id)
    params = [Param(name, value) for name, value in parameters(config).items()]
    client.log_batch(run_id, params=params)
    client.log_inputs(run_id, [workload_input(config)])
    return run_id


def _log(
    client: MlflowClient, run_id: str, run: RunDir, config: dict[str, Any], record: dict[str, Any]
) -> None:
    client.update_run(run_id, status="RUNNING")
    points, started_ms = run.points(), _ms(record["started"])
    values = metrics(points, started_ms) + _searched(run, started_ms)
    for start in range(0, len(values), METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=values[start : start + METRICS_AT_ONCE])
    for path in sorted(run.path.glob("*.json")):
        client.log_artifact(run_id, str(path))
    client.log_text(run_id, csv(points), "points.csv")
    for folder in FOLDERS:
        if (run.path / folder).is_dir():
            client.log_artifacts(run_id, str(run.path / folder), folder)
    name = client.get_run(run_id).info.run_name
    command = run.read(names.PROVENANCE).get("command", [])
    invalid = sum(1 for point in points if point.invalid)
    tags = {
        **record["tags"],
        "er.invalid_points": str(invalid),
        "er.points": str(len(points)),
        "mlflow.note.content": note(name, config, command, points),
        "er.content": _content(run),
    }
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
    ended = _ms(record.get("ended", record["started"]))
    client.set_terminated(run_id, STATUS.get(run.status(), "FAILED"), ended)


def _searched(run: RunDir, at_ms: int) -> list[Metric]:
    """What a search found, and what the gateway costs: one number for a run."""
    values: dict[str, float] = {}
    if run.has(names.KNEE):
        values["capacity/knee_concurrency"] = run.read(names.KNEE)["max_concurrency"]
    if run.has(names.CAPACITY):
        found = run.read_numbers(names.CAPACITY)
        values |= {f"capacity/{name}": value for name, value in flatten(found)}
    if run.has(names.GATEWAY_COST):
        cost = run.read_numbers(names.GATEWAY_COST)
        values["latency/gateway_p50_s"] = cost["ttft_difference_p50_s"]
    return [
        Metric(name, value, at_ms, 0)
        for name, value in values.items()
        if isinstance(value, int | float) and value and not math.isnan(value)
    ]


def _ms(moment: str) -> int:
    """Milliseconds since 1970 of a moment as run.json has it."""
    return int(datetime.fromisoformat(moment).timestamp() * 1000)
