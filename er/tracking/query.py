"""Published runs, read back from MLflow for figures and tables."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pandas as pd
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from er.config.checks import require_store
from er.errors import ConfigError, ErError
from er.results import command_id, consistency, names, step_times
from er.results.json_file import point_of
from er.results.point import Point
from er.results.run_dir import ReadOnce, RunDir, id_of
from er.tracking.store import STORE_ERRORS, open_store

Kind = tuple[str, str]  # clock and kind of engine
RUNS_AT_MOST = 50_000  # MLflow gives no more at once, and 1,000 unless it is asked for them
# Of every run of er that shows points.
TAGS = {
    *("er.deployment", "er.study_key", "er.title", "er.engine_kind", "er.clock", "er.workload"),
    "er.run_dir",
}


@dataclass(frozen=True)
class PublishedRun:
    """One deployment's run."""

    run_id: str  # MLflow's, in one store
    study: str
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
    own_id: str = ""  # the same in every store; see run_dir.id_of

    @property
    def id(self) -> str:
        """What figures and verdicts call it."""
        return self.own_id or self.run_id

    @property
    def gpus(self) -> int:
        """GPUs that the deployment occupies."""
        deployment = self.config["deployment"]
        return int(deployment["tp"] * deployment["experts"])

    @property
    def digest(self) -> str:
        """SHA-256 of all that a figure or a verdict is made from, in hexadecimal digits.

        Of requests only names and sizes are read: their statistics are in the points.
        """
        said = (self.id, self.study, self.title, self.engine_kind, self.workload, self.started)
        total = hashlib.sha256("\0".join(said).encode())
        for name in (names.CONFIG, names.POINTS, names.PREDICTED, names.CAPACITY):
            path = self.files / name
            total.update(path.read_bytes() if path.exists() else b"none")
        total.update(self.step_times.encode())
        for path in sorted((self.files / names.REQUESTS).glob("*.parquet")):
            total.update(f"{path.name} {path.stat().st_size}".encode())
        return total.hexdigest()

    @cached_property
    def step_times(self) -> str:
        """Where the step times of its predictions come from; empty where that is not kept."""
        return step_times.origin_of(RunDir(self.files))

    @cached_property
    def doubts(self) -> dict[int, str]:
        """By concurrency: why a point cannot be what was measured; see er.results.consistency."""
        return consistency.contradictions_of_points(self.points, RunDir(self.files), self.config)

    def requests(self, *columns: str) -> pd.DataFrame:
        """These columns of the requests of every point, unmeasured ones too; see run_dir.frame.

        A column `measured` says whether it is neither warm-up nor cool-down.
        """
        return RunDir(self.files).requests(*columns)[list(columns)]

    def measured(self, *columns: str) -> pd.DataFrame:
        """These columns of the requests that the statistics of the valid points are made of."""
        valid = [point.concurrency for point in self.points if not point.invalid]
        rows = self.requests(*{"concurrency", "measured", "ok", "send_s", *columns})
        # What came before a point's steady state is not part of it (NaN where nothing was cut).
        since_s = {point.concurrency: point.steady_since_s for point in self.points}
        transient = rows["send_s"] < rows["concurrency"].map(since_s)
        measured, ok = rows["measured"].astype(bool), rows["ok"].astype(bool)
        kept = ok & measured & ~transient & rows["concurrency"].isin(valid)
        return rows.loc[kept, list(columns)]


def shown(uri: str, study: str, command: str = "") -> list[PublishedRun]:
    """The runs of a study that a figure shows, by deployment and then by start.

    All runs of the newest command, those too that it took from disk; of `command` (its id) where
    that has any, so that one that ends shows its own also where another was given meanwhile. Beside
    those of a single deployment, the newest run of every other one that shares everything else with
    one of them: to repeat one completes the others.
    Raises ConfigError when there is none.
    """
    return _in_order(_newest(finished(uri, study), command))


def _newest(found: Sequence[Run], command: str = "") -> list[Run]:
    """Of runs, those of the newest command first: the ones that `shown` shows."""
    own = [run for run in found if _command(run) == command]
    newest = own or [run for run in found if _command(run) == _command(found[0])]
    keys = {run.data.tags["er.study_key"] for run in newest}
    taken = {run.data.tags["er.deployment"] for run in newest}
    others: dict[tuple[str, str], Run] = {}
    for run in found if len(taken) == 1 else []:
        deployment, key = run.data.tags["er.deployment"], run.data.tags["er.study_key"]
        if key in keys and deployment not in taken and not _is_gone(run):
            others.setdefault((deployment, key), run)
    return [*newest, *others.values()]


def comparable_with(uri: str, shown: Sequence[PublishedRun]) -> list[PublishedRun]:
    """The newest finished run of every other deployment of the same study that shares everything
    else with one of those shown."""
    if not shown:
        return []
    found = finished(uri, shown[0].study)
    ids = {run.run_id for run in shown}
    keys = {run.data.tags["er.study_key"] for run in found if run.info.run_id in ids}
    taken = {run.deployment for run in shown}
    others: dict[str, Run] = {}
    for run in found:
        deployment, key = run.data.tags["er.deployment"], run.data.tags["er.study_key"]
        if key in keys and deployment not in taken and not _is_gone(run):
            others.setdefault(deployment, run)
    return _in_order(others.values())


def pinned(uri: str, ids: Sequence[str]) -> list[PublishedRun]:
    """The runs with these ids, or beginnings of ids, by deployment and then by start: their own
    ids, which hold in every store, or MLflow's.

    Raises ConfigError where one is not there, or where several begin alike.
    """
    client = _existing_store(uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found: dict[str, Run] = {}
    for prefix in ids:
        by_own = client.search_runs(experiments, f"tags.`{names.ID_TAG}` LIKE '{prefix}%'")
        one = len({run.data.tags[names.ID_TAG] for run in by_own}) == 1
        by_mlflow = client.search_runs(experiments, f"attributes.run_id LIKE '{prefix}%'")
        # The same run may be published twice, from two places.
        runs = by_own[:1] if one and not by_mlflow else [*by_own, *by_mlflow]
        if len(runs) != 1:
            how_many = f"{len(runs)} runs begin" if runs else "no run begins"
            raise ConfigError(f"{how_many} with {prefix} in {uri}: give an id of the store")
        found[runs[0].info.run_id] = runs[0]
    return _in_order(found.values())


def finished(uri: str, study: str) -> list[Run]:
    """Every finished run: those of the newest command first, of one command that which began last.

    Raises ConfigError when there is none.
    """
    client = _existing_store(uri)
    known = client.get_experiment_by_name(study)
    found = (
        client.search_runs(
            [known.experiment_id],
            "attributes.status = 'FINISHED'",
            max_results=RUNS_AT_MOST,
            order_by=["attributes.start_time DESC"],
        )
        if known
        else []
    )
    # One holds the figures; of others, a tag may have been deleted on MLflow's pages.
    runs = [run for run in found if run.data.tags.keys() >= TAGS]
    if not runs:
        raise ConfigError(
            f"no finished run of study {study} in {uri}: make one with python -m er.run"
        )
    return sorted(runs, key=_commanded_ms, reverse=True)


def _existing_store(uri: str) -> MlflowClient:
    """A client of the store. Raises ConfigError where none is named, or there is no such file."""
    require_store(uri, "uri")  # of an empty one MLflow would make a file here
    path = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not path.exists():
        raise ConfigError(
            f"there is no MLflow store {path}: make one with python -m er.run, or set uri"
        )
    return open_store(uri)


def _command(run: Run) -> str:
    """What the runs of one command share."""
    return str(run.data.tags.get("er.sweep", run.info.run_id))


def _commanded_ms(run: Run) -> tuple[int, int]:
    """When the last command that had the run was given, and when its measurement began; of runs of
    earlier versions, whose commands have no time, the beginning stands for both."""
    given, began = command_id.given_ms(_command(run)), int(run.info.start_time)
    return began if given is None else given, began


def _in_order(runs: Iterable[Run]) -> list[PublishedRun]:
    ordered = sorted(runs, key=lambda run: (run.data.tags["er.deployment"], run.info.start_time))
    return list(map(_read, ordered))


def _read(run: Run) -> PublishedRun:
    tags = run.data.tags
    files = _files_of(run)
    there = ReadOnce(files)
    for path in sorted(files.glob("*.json")):
        there.read(path.name)
    config, record = there.read(names.CONFIG), there.read(names.RECORD)
    predicted = there.read(names.PREDICTED) if there.has(names.PREDICTED) else []
    return PublishedRun(
        run_id=run.info.run_id,
        own_id=id_of(record),
        study=config["study"],
        deployment=tags["er.deployment"],
        title=tags["er.title"],
        engine_kind=tags["er.engine_kind"],
        clock=tags["er.clock"],
        workload=tags["er.workload"],
        started=record["started"],
        points=there.points(),
        predicted=list(map(point_of, predicted)),
        config=config,
        capacity=there.read(names.CAPACITY) if there.has(names.CAPACITY) else {},
        files=files,
    )


def _is_gone(run: Run) -> bool:
    """Whether the folder of its files is not there, where it was one of this machine."""
    uri = run.info.artifact_uri
    return uri.startswith("file:") and not Path(unquote(urlsplit(uri).path)).is_dir()


def _files_of(run: Run) -> Path:
    """A folder of its files, of a server a copy. Raises ErError where they are gone."""
    try:
        return Path(download_artifacts(artifact_uri=run.info.artifact_uri))
    except STORE_ERRORS as error:
        own, folder = run.data.tags.get(names.ID_TAG, run.info.run_id), run.data.tags["er.run_dir"]
        there = Path(folder).is_dir()
        advice = f"python -m er.publish {folder}" if there else "put them back, or delete it there"
        raise ErError(
            f"MLflow has run {own}, but its files are gone from {run.info.artifact_uri}: {advice}"
        ) from error


def of_other_kinds(uri: str, study: str, runs: Sequence[PublishedRun]) -> dict[Kind, list[str]]:
    """The runs of the newest command that came about in another way than these runs: their ids, by
    clock and kind of engine."""
    known = {(run.clock, run.engine_kind) for run in runs}
    found: dict[Kind, list[Run]] = {}
    for run in finished(uri, study):
        kind = run.data.tags["er.clock"], run.data.tags["er.engine_kind"]
        if kind not in known:
            found.setdefault(kind, []).append(run)
    return {
        kind: [run.data.tags.get(names.ID_TAG, run.info.run_id) for run in _newest(others)]
        for kind, others in found.items()
    }
