"""A job as it is on disk; Slurm is not there."""

from pathlib import Path

import pytest
from submitted_job import NAME

from er.cluster.folder import Attempt


@pytest.fixture
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Attempt:
    """A job that was submitted, of a machine that has no Slurm."""
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    made = Attempt(tmp_path / "runs" / "ladder" / "jobs" / "a-0123456789ab" / "001")
    made.path.mkdir(parents=True)
    intent = {
        "name": NAME,
        "deployment": "a",
        "title": "Llama 3 70B INT8, TP=4",
        "ladder": [1, 2],
        "study": "ladder",
        "figures": [],
        "publish": False,
        "tracking_uri": "",
        "answer_timeout_s": 5,
        "when": "2026-01-01T00:00:00+00:00",
    }
    made.write("intent.json", intent)
    made.note_receipt("12345678")
    return made
