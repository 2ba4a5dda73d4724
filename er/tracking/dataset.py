"""The workload as MLflow's dataset input of a run."""

import hashlib
import json
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag

from er.results import names

DIGEST_DIGITS = 16  # MLflow keeps 36 at most


def workload_input(config: dict[str, Any]) -> DatasetInput:
    """What was sent: the workload's lengths over the corpus' texts, drawn with the run's seed."""
    workload, corpus = config["workload"], config["corpus"]
    sent = {"workload": workload, "corpus": corpus, "seed": config["seed"]}
    digest = hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()
    profile = {
        "description": workload["description"],
        "corpus": corpus["name"],
        "tokenizer": workload["tokenizer"],
        "seed": config["seed"],
    }
    dataset = Dataset(
        name=f"{workload['name']} of {corpus['name']}",
        digest=digest[:DIGEST_DIGITS],
        source_type="local",
        source=json.dumps({"uri": workload.get("path") or names.CONFIG}),  # an artifact of the run
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "load")])
