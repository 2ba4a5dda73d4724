"""Publishing runs to MLflow and reading them back."""

import os

# MLflow would report usage over the network, and an inherited run id would hijack ours.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.pop("MLFLOW_RUN_ID", None)
