"""Published runs, read back from MLflow for figures and tables."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run

from er.errors import ErError
from er.results.point import Point
from er.results.run_dir import point_of
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
    config: dict[str, Any]  # config.json
    capacity: dict[str, Any]  # capacity.json; empty where none was searched
    files: Path  # its artifacts

    def requests(self, *columns: str) -> pd.DataFrame:
        """These columns of the requests of every point, warm-up included; see run_dir.frame."""
        files = sorted((self.files / "requests").glob("*.parquet"))
        parts = [pd.read_parquet(file, columns=list(columns)) for file in files]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def newest_study(uri: str, study: str) -> list[PublishedRun]:
    """The newest finished run of each deployment, among runs comparable with the newest of all.

    Comparable runs share everything but the deployment. Raises ErError when there is none.
    """
    found = finished(uri, study)
    key = found[0].data.tags["er.study_key"]
    newest: dict[str, Run] = {}
    for run in found:
        if run.data.tags["er.study_key"] == key:
            newest.setdefault(run.data.tags["er.deployment"], run)
    return [_read(newest[deployment]) for deployment in sorted(newest)]


def newest_sweep(uri: str, study: str) -> list[PublishedRun]:
    """The finished runs of the newest command, in their order.

    Raises ErError when there is none.
    """
    found = finished(uri, study)
    sweep = found[0].data.tags["er.compose"]
    return [_read(run) for run in reversed(found) if run.data.tags["er.compose"] == sweep]


def finished(uri: str, study: str) -> list[Run]:
    """Every finished run, the newest first. Raises ErError when there is none."""
    client = open_store(uri)
    known = client.get_experiment_by_name(study)
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
        raise ErError(f"no finished run of study {study} in {uri}: make one with python -m er.run")
    return list(found)


def _read(run: Run) -> PublishedRun:
    tags = run.data.tags
    files = Path(download_artifacts(artifact_uri=run.info.artifact_uri))
    return PublishedRun(
        run_id=run.info.run_id,
        deployment=tags["er.deployment"],
        title=tags["er.title"],
        engine_kind=tags["er.engine_kind"],
        clock=tags["er.clock"],
        workload=tags["er.workload"],
        started=_json(files / "run.json")["started"],
        points=[point_of(entry) for entry in _json(files / "points.json", [])],
        predicted=[point_of(entry) for entry in _json(files / "predicted.json", [])],
        config=_json(files / "config.json"),
        capacity=_json(files / "capacity.json", {}),
        files=files,
    )


def _json(path: Path, without: Any = None) -> Any:
    """A file's content, or `without` where there may be no such file."""
    if without is not None and not path.exists():
        return without
    return json.loads(path.read_text())
