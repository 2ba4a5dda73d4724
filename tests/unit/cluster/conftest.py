"""A job as it is on disk; Slurm is not there."""

from pathlib import Path

import pytest
from submitted_job import NAME

from er.cluster.folder import Attempt

PROGRAMS = {
    "sinfo": "echo 'gpu*|4:00:00|gpu:8'",
    "squeue": "true",
    "sbatch": """echo "$*" >> {sent}
if [ -e {refuses} ]; then cat {refuses} >&2; exit 1; fi
echo 4""",
}


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


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of someone at a login node with the stand-ins."""
    programs = tmp_path / "bin"
    programs.mkdir()
    places = {"sent": tmp_path / "sent", "refuses": tmp_path / "refuses"}
    for name, line in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{line.format(**places)}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    return tmp_path
