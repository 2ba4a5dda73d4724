"""A study's page in MLflow: an experiment set up to show runs, and its address."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from er.errors import ErError
from er.results.sqlite_file import absolute
from er.tracking.store import open_store

# As MLflow's pages name them: without a kind an experiment opens on traces of GenAI applications.
KIND = ("mlflow.experimentKind", "custom_model_development")
VIEW = "er"  # the key of a shared view: /runs?viewStateShareKey=er
COLUMNS = (
    "params.`deployment.precision`",
    "params.`deployment.tp`",
    "params.`deployment.experts`",
    "params.`hardware.name`",
    "params.`clock.kind`",
    "metrics.`latency/ttft_p50_s`",
    "metrics.`latency/tpot_p50_s`",
    "metrics.`throughput/tokens_per_s`",
    "metrics.`capacity/concurrency`",
    "tags.`er.invalid_points`",
)
VIEW_STATE = {"selectedColumns": COLUMNS}


def experiment_for(client: MlflowClient, study: str, runs_dir: Path) -> str:
    """The id of the study's experiment, which is made when there is none.

    Raises ErError for one that was deleted on MLflow's pages: its name cannot be used again.
    """
    known = client.get_experiment_by_name(study) or _made(client, study, runs_dir)
    if known.lifecycle_stage != "active":
        raise ErError(
            f"experiment {study} was deleted in MLflow: bring it back with MLFLOW_TRACKING_URI=... "
            f"mlflow experiments restore -x {known.experiment_id}, or set study=...; what was "
            "measured is kept"
        )
    wanted = dict([KIND, (f"mlflow.sharedViewState.{VIEW}", json.dumps(VIEW_STATE))])
    for name, value in wanted.items():
        if known.tags.get(name) != value:
            client.set_experiment_tag(known.experiment_id, name, value)
    return str(known.experiment_id)


def _made(client: MlflowClient, study: str, runs_dir: Path) -> Experiment:
    artifacts = (runs_dir / "mlartifacts" / study).absolute()
    try:
        return client.get_experiment(client.create_experiment(study, artifacts.as_uri()))
    except MlflowException:  # another process made it just now, unless something is really wrong
        known = client.get_experiment_by_name(study)
        if not known:
            raise
        return known


def describe_ui(uri: str, studies: Sequence[str]) -> list[str]:
    """Lines that say how to look at the runs of studies in MLflow, from any directory.

    Raises ErError when the store cannot be opened.
    """
    client = open_store(uri)
    known = {study: client.get_experiment_by_name(study) for study in studies}
    address = uri.rstrip("/") if uri.startswith("http") else "http://127.0.0.1:5000"
    lines = []
    if not uri.startswith("http"):
        uri = absolute(uri)
        mlflow = Path(sys.executable).parent / "mlflow"
        command = shlex.join([str(mlflow), "ui", "--backend-store-uri", uri])
        lines = ["look at the runs in MLflow with", f"    {command}", "then open"]
    for study, experiment in known.items():
        # MLflow opens on GenAI applications unless the address says otherwise.
        page = f"/#/experiments/{experiment.experiment_id}/runs" if experiment else "/"
        runs = f"{address}{page}?workflowType=machine_learning"
        lines.append(f"    {study}, charts: {runs}&compareRunsMode=CHART")
        if len(known) == 1:
            lines.append(f"    {study}, table:  {runs}&viewStateShareKey={VIEW}")
    return lines
