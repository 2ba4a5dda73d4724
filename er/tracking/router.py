"""Publish a trained router: its measurements on held-out prompts, pictures and file."""

import getpass
import json
from pathlib import Path

from mlflow.entities import Metric, Param, RunTag

from er.errors import ErError
from er.results.labels import flatten
from er.tracking.experiment import experiment_for
from er.tracking.publish import find, identity
from er.tracking.store import STORE_ERRORS, first_line, one_at_a_time, open_store

STUDY = "routers"
RECORD = "router.json"  # in the folder of a router's evaluation


def publish_router(folder: Path, uri: str = "") -> tuple[str, str]:
    """Log a router's folder once; the store, which is its own unless `uri` names one, and the id.

    Raises ErError when the store cannot be written; the router stays in the cache.
    """
    record = json.loads((folder / RECORD).read_text())
    uri = uri or record["tracking_uri"]
    client = open_store(uri)
    measured = json.loads((folder / "evaluation.json").read_text())
    values = {"load_max_over_mean": measured["peak"], **(measured["agreement"] or {})}
    try:
        with one_at_a_time(uri):
            experiment_id = experiment_for(client, STUDY, Path(record["runs_dir"]).absolute())
            known = find(client, experiment_id, folder)
            if known and known.info.status == "FINISHED":
                return uri, str(known.info.run_id)
            if known:
                client.delete_run(known.info.run_id)
            tags = {
                "mlflow.source.name": "er.routing.train",
                "mlflow.source.type": "LOCAL",
                "mlflow.user": getpass.getuser(),
                "er.run_dir_digest": identity(folder),
            }
            run = client.create_run(experiment_id, tags=tags, run_name=folder.name)
            run_id = str(run.info.run_id)
            client.log_batch(
                run_id,
                metrics=[Metric(n, v, run.info.start_time, 0) for n, v in values.items()],
                params=[Param(name, str(value)) for name, value in flatten(record["settings"])],
                tags=[RunTag("mlflow.note.content", f"Router `{record['router']}`")],
            )
            client.log_artifacts(run_id, str(folder))
            client.log_artifact(run_id, record["router"])
            client.set_terminated(run_id)
    except STORE_ERRORS as error:
        raise ErError(
            f"cannot publish to {uri}: {first_line(error)}: publish the router later with "
            f"python -m er.publish {folder}"
        ) from error
    return uri, run_id
