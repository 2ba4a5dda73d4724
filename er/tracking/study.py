"""A study's own run in MLflow: its figures, report and verdicts, beside the runs they show.

A figure shows several runs, so it is an artifact of none of them. The charts page of the experiment
draws no curve of this run: it has no metrics.
"""

import getpass
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from mlflow.entities import Run, RunTag
from mlflow.tracking import MlflowClient

from er.errors import ErError
from er.tracking.experiment import experiment_for
from er.tracking.store import STORE_ERRORS, first_line, one_at_a_time, open_store

KIND = "er.views_of"  # the tag of such a run: how its points came about
DIGESTS = "er.digests"  # of the files that the run has: one tag, for its page shows them all
KINDS = ("measured", "predicted")
FOLDER = "figures"
NOTE = "mlflow.note.content"


def publish_study(
    uri: str, study: str, how: str, runs_dir: Path, files: Sequence[Path], note: str
) -> str:
    """Bring the run up to date with these files, and return its id.

    `how` the study came about, measured or predicted, names the run; `note` is Markdown for its
    page. Raises ErError when the store cannot be written.
    """
    client = open_store(uri)
    try:
        with one_at_a_time(uri):
            experiment_id = experiment_for(client, study, runs_dir.absolute())
            run = _find(client, experiment_id, how) or _create(client, experiment_id, study, how)
            run_id = str(run.info.run_id)
            known = json.loads(run.data.tags.get(DIGESTS, "{}"))
            digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
            for file in files:
                if known.get(file.name) != digests[file.name]:
                    client.log_artifact(run_id, str(file), FOLDER)
            tags = {NOTE: note, DIGESTS: json.dumps({**known, **digests})}
            client.log_batch(run_id, tags=[RunTag(*tag) for tag in tags.items()])
            client.set_experiment_tag(experiment_id, NOTE, _about(client, experiment_id))
            client.set_terminated(run_id)
    except STORE_ERRORS as error:
        raise ErError(f"cannot publish the figures to {uri}: {first_line(error)}") from error
    return run_id


def files_of(uri: str, study: str, how: str) -> list[str]:
    """The names of the files that the run has; none where there is no such run."""
    client = open_store(uri)
    experiment = client.get_experiment_by_name(study)
    run = _find(client, experiment.experiment_id, how) if experiment else None
    return list(json.loads(run.data.tags.get(DIGESTS, "{}"))) if run else []


def _about(client: MlflowClient, experiment_id: str) -> str:
    """Markdown for the page of the experiment: the runs that have what the study ends with."""
    kinds = [_find(client, experiment_id, how) for how in KINDS]
    names = " and ".join(f"`{run.info.run_name}`" for run in kinds if run)
    return f"Its figures, tables and report are in the run {names}, below *Artifacts*."


def _find(client: MlflowClient, experiment_id: str, how: str) -> Run | None:
    found = client.search_runs([experiment_id], f"tags.`{KIND}` = '{how}'")
    return found[0] if found else None


def _create(client: MlflowClient, experiment_id: str, study: str, how: str) -> Run:
    tags = {KIND: how, "mlflow.user": getpass.getuser(), "mlflow.source.type": "LOCAL"}
    return client.create_run(experiment_id, tags=tags, run_name=f"figures of {study}, {how}")
