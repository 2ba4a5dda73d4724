"""A run whose prompts are spread by a baseline, without a router."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from er.tracking.query import newest_study

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.embedded


def test_a_baseline_spreads_prompts_and_is_named_wherever_the_run_is(tmp_path: Path) -> None:
    overrides = ["deployment=e", "deployment.experts=2", "routing.policy=least_loaded"]
    overrides += ["load.concurrency=[2]", "load.requests_at_least=8", "load.gateway_probes=0"]
    done = subprocess.run(
        [sys.executable, "-m", "er.run", "+experiment=fig4", f"runs_dir={tmp_path}", *overrides],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    title = "Expert Router, 8 x Llama 3 8B FP16, least_loaded routing"
    assert f"{title}: starting Triton with 2 models" in done.stdout
    assert re.search(rf"^E  {title} \(simulated\)$", done.stdout, re.MULTILINE)
    [run] = (tmp_path / "fig4").iterdir()
    assert json.loads((run / "config.json").read_text())["routing"]["policy"] == "least_loaded"
    assert json.loads((run / "run.json").read_text())["tags"]["er.routing_policy"] == "least_loaded"
    [published] = newest_study(f"sqlite:///{tmp_path}/mlflow.db", "fig4")
    assert published.title == f"{title} (simulated)"  # which figures write beside the curve
    requests = pd.read_parquet(run / "requests" / "c0002.parquet")
    assert requests["ok"].all()
    # Two users never wait behind each other: they are with one expert each, but at the very start.
    assert requests["expert"].value_counts().min() > 0.3 * len(requests)
