"""Verdicts in MLflow, with the runs that they were decided by."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from er.errors import ErError
from er.tracking.store import first_line, open_store

FILE = "claims.json"


def log(uri: str, now_ms: int, verdicts: Mapping[str, Sequence[dict[str, Any]]]) -> None:
    """Log each run's verdicts, by run id: an artifact with all of them, and a metric for each that
    was decided, `verdicts/FIGURE ID`: 1 where it holds, 0 where it does not.

    Raises ErError when the store cannot be written.
    """
    client = open_store(uri)
    try:
        for run_id, entries in verdicts.items():
            metrics = [
                Metric(_name(entry), float(entry["outcome"] == "holds"), now_ms, 0)
                for entry in entries
                if entry["outcome"] != "open"
            ]
            client.log_batch(run_id, metrics=metrics)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / FILE
                path.write_text(json.dumps(entries, indent=1, allow_nan=False))
                client.log_artifact(run_id, str(path))
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise ErError(f"cannot log verdicts: {first_line(error)}") from error


def _name(entry: dict[str, Any]) -> str:
    # Sorted by letter on MLflow's charts page: after the curves.
    return f"verdicts/{entry['claim']['figure']} {entry['claim']['id']}"
