"""Published runs, read back from MLflow for figures and tables."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run

from er.errors import ErError
from er.points import Point
from er.run_dir import point_of
from er.tracking.mlflow_store import open_store


@dataclass(frozen=True)
class PublishedRun:
    """One deployment's run."""

    run_id: str
    deployment: str
    title: str
    engine_kind: str
    clock: str
    workload: str
    started: str
    points: list[Point]
    predicted: list[Point]  # of the same points on a virtual clock; empty where nothing predicts
    requests: pd.DataFrame  # of every point, warm-up included; see er.run_dir.frame


def newest_study(uri: str, experiment: str) -> list[PublishedRun]:
    """The newest finished run of each deployment, among runs comparable with the newest of all.

    Comparable runs share everything but the deployment. Raises ErError when there is none.
    """
    client = open_store(uri)
    known = client.get_experiment_by_name(experiment)
    found = (
        client.search_runs(
            [known.experiment_id],
            "attributes.status = 'FINISHED'",
            order_by=["attributes.start_time DESC"],
        )
        if known
        else []
    )
    if not found:
        raise ErError(
            f"no finished run of {experiment} in {uri}: "
            f"make one with python -m er.run +experiment={experiment}"
        )
    study = found[0].data.tags["er.study_key"]
    newest: dict[str, Run] = {}
    for run in found:
        if run.data.tags["er.study_key"] == study:
            newest.setdefault(run.data.tags["er.deployment"], run)
    return [_read(newest[deployment]) for deployment in sorted(newest)]


def _read(run: Run) -> PublishedRun:
    tags = run.data.tags
    files = Path(download_artifacts(artifact_uri=run.info.artifact_uri))
    requests = [pd.read_parquet(path) for path in sorted((files / "requests").glob("*.parquet"))]
    return PublishedRun(
        run_id=run.info.run_id,
        deployment=tags["er.deployment"],
        title=tags["er.title"],
        engine_kind=tags["er.engine_kind"],
        clock=tags["er.clock"],
        workload=tags["er.workload"],
        started=json.loads((files / "run.json").read_text())["started"],
        points=_points(files / "points.json"),
        predicted=_points(files / "predicted.json"),
        requests=pd.concat(requests, ignore_index=True),
    )


def _points(path: Path) -> list[Point]:
    return [point_of(entry) for entry in json.loads(path.read_text())] if path.exists() else []
