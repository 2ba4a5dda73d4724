"""Publish a finished run directory to MLflow: one run for each deployment.

Every metric is logged at step = concurrency, so that the MLflow UI draws the curves itself. The
metrics of an invalid point are named `invalid/...`: they never join the curve of the valid ones.
"""

import logging
import math
import os
import time
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from er.errors import ErError
from er.results.labels import flatten
from er.results.point import Point
from er.results.run_dir import RunDir

STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
PARAM_LENGTH = 500
PARAMS_AT_ONCE, METRICS_AT_ONCE = 100, 1000  # MLflow takes no more
# A server that does not answer is told after seconds; MLflow's own seven retries take minutes.
FEW_RETRIES = ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
QUANTILES = [
    f"{share}{bound}" for share in ("p50", "p95", "p99") for bound in ("", "_low", "_high")
]


def open_store(uri: str) -> MlflowClient:
    """A client of the store at `uri`, made and migrated when new.

    Raises ErError when it cannot be opened.
    """
    os.environ.setdefault(*FEW_RETRIES)
    for name in ("alembic", "mlflow.store.db.utils", "mlflow.tracking"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if uri.startswith("sqlite:///"):
        _check_sqlite(Path(uri.removeprefix("sqlite:///")))
    try:
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise ErError(
            f"cannot open the MLflow store {uri}: {str(error).splitlines()[0]}: mend or move it, "
            "set tracking.uri=..., or run with tracking.enabled=false"
        ) from error
    return client


def publish(run: RunDir, uri: str) -> str:
    """Log a run directory and return the MLflow run's id; a run already published is left alone.

    Raises ErError when the store cannot be written; the run directory stays complete.
    """
    client = open_store(uri)
    config, record = run.read("config.json"), run.read("run.json")
    try:
        experiment_id = _experiment(client, config["study"], Path(config["runs_dir"]))
        known = client.search_runs([experiment_id], f"tags.`er.run_dir` = '{run.path}'")
        if known and known[0].info.status != "RUNNING":
            run_id = str(known[0].info.run_id)
            client.log_batch(run_id, tags=[RunTag(*tag) for tag in record["tags"].items()])
            return run_id
        for half_done in known:
            client.delete_run(half_done.info.run_id)
        return _log(client, experiment_id, run, config, record)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise ErError(
            f"cannot publish to {uri}: {str(error).splitlines()[0]}: everything measured is in "
            f"{run.path}; publish it later with python -m er.publish {run.path}"
        ) from error


def _log(
    client: MlflowClient,
    experiment_id: str,
    run: RunDir,
    config: dict[str, Any],
    record: dict[str, Any],
) -> str:
    tags = {"er.run_dir": str(run.path), "er.run_key": record["key"], **record["tags"]}
    name = f"{record['tags']['er.deployment'].upper()}: {record['tags']['er.title']}"
    published = client.create_run(experiment_id, tags=tags, run_name=name)
    run_id = str(published.info.run_id)
    chosen = dict(flatten(config))
    if (run.path / "engine.json").exists():
        chosen |= {f"engine.{name}": value for name, value in run.read("engine.json").items()}
    params = [Param(name, str(value)[:PARAM_LENGTH]) for name, value in chosen.items()]
    for start in range(0, len(params), PARAMS_AT_ONCE):
        client.log_batch(run_id, params=params[start : start + PARAMS_AT_ONCE])
    points = run.points()
    values = [metric for point in points for metric in metrics(point)]
    for start in range(0, len(values), METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=values[start : start + METRICS_AT_ONCE])
    if (run.path / "knee.json").exists():
        client.log_metric(run_id, "knee_users", run.read("knee.json")["most_users"])
    if (run.path / "capacity.json").exists():
        for name, value in flatten(run.read("capacity.json")):
            if isinstance(value, int | float) and not math.isnan(value):
                client.log_metric(run_id, f"capacity/{name}", value)
    invalid = sum(1 for point in points if point.invalid)
    client.log_batch(run_id, tags=[RunTag("er.invalid_points", str(invalid))])
    for name in (
        "capacity.json",
        "config.json",
        "provenance.json",
        "run.json",
        "points.json",
        "endpoints.json",
        "engine.json",
        "gateway_cost.json",
        "knee.json",
        "predicted.json",
    ):
        if (run.path / name).exists():
            client.log_artifact(run_id, str(run.path / name))
    for folder in ("requests", "logs"):
        client.log_artifacts(run_id, str(run.path / folder), folder)
    client.set_terminated(run_id, STATUS.get(record["status"], "FAILED"))
    return run_id


def metrics(point: Point) -> list[Metric]:
    """The point's metrics at step = concurrency; quantities without a value are left out."""
    values = {
        "duration_s": point.duration_s,
        "cut_requests": float(point.cut_requests),
        "errors": float(point.errors),
        "goodput": point.goodput,
        "little_ratio": point.little_ratio,
        "long_answers": float(point.long_answers),
        "output_tokens_mean": point.output_tokens_mean,
        "requests": float(point.requests),
        "requests_per_s": point.requests_per_s,
        "short_answers": float(point.short_answers),
        "token_lateness_p50": point.token_lateness_p50,
        "tokens_per_s": point.tokens_per_s,
    }
    values |= {f"proof/{name}": float(value) for name, value in point.client.items()}
    for quantity in ("ttft", "ttft_intended", "tpot", "itl", "e2e"):
        summary = getattr(point, f"{quantity}_s")
        for statistic in ("min", *QUANTILES):
            values[f"{quantity}_{statistic}_s"] = getattr(summary, statistic)
    prefix = "invalid/" if point.invalid else ""
    named = {f"{prefix}{name}": value for name, value in values.items() if not math.isnan(value)}
    named["valid"] = 0.0 if point.invalid else 1.0
    now_ms = int(time.time() * 1000)
    return [Metric(name, value, now_ms, point.concurrency) for name, value in named.items()]


def _experiment(client: MlflowClient, name: str, runs_dir: Path) -> str:
    known = client.get_experiment_by_name(name)
    if known:
        return str(known.experiment_id)
    artifacts = (runs_dir / "mlartifacts" / name).absolute()
    return str(client.create_experiment(name, artifact_location=artifacts.as_uri()))


def _check_sqlite(path: Path) -> None:
    """MLflow retries an unusable file for a minute and then prints a page: look first."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab"):
            pass
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise ErError(
            f"cannot open the MLflow store {path}: {error.strerror}: mend or move it, "
            "set tracking.uri=..., or run with tracking.enabled=false"
        ) from error
    if head and head != b"SQLite format 3\0":
        raise ErError(
            f"the MLflow store {path} is not an SQLite database: move it away, "
            "or set tracking.uri=..."
        )
