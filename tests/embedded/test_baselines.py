"""A run whose prompts are spread by a baseline, without a router."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from er.run import answer
from er.tracking.query import shown

pytestmark = pytest.mark.embedded


def test_a_baseline_spreads_prompts_and_is_named_wherever_the_run_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ["deployment=e", "deployment.experts=2", "routing.policy=least_loaded"]
    overrides += ["load.concurrency=[2]", "load.requests_at_least=8", "load.gateway_probes=0"]
    assert answer(["+experiment=fig4", f"runs_dir={tmp_path}", *overrides]) == 0
    output = capsys.readouterr().out
    title = "Expert Router, 2 x Llama 3 8B FP16, TP=1, least_loaded routing"
    assert f"{title}: starting Triton with 2 models" in output
    assert re.search(rf"^E  {title} \(simulated\): ", output, re.MULTILINE)
    [run] = (tmp_path / "ladder").iterdir()
    assert json.loads((run / "config.json").read_text())["routing"]["policy"] == "least_loaded"
    assert json.loads((run / "run.json").read_text())["tags"]["er.routing_policy"] == "least_loaded"
    [published] = shown(f"sqlite:///{tmp_path}/mlflow.db", "ladder")
    assert published.title == f"{title} (simulated)"  # which figures write beside the curve
    requests = pd.read_parquet(run / "requests" / "c0002.parquet")
    assert requests["ok"].all()
    # Two users never wait behind each other: they are with one expert each, but at the very start.
    assert requests["expert"].value_counts().min() > 0.3 * len(requests)
