"""How the job of a file ends, and what it leaves beside the file."""

import json
from pathlib import Path

import pytest

from er import compose, run
from er.cluster.folder import Attempt

NO_TOKENS = "clock.failures=[{expert: 0, at_s: 0}]"


@pytest.mark.parametrize(("failing", "code"), [([], 0), ([NO_TOKENS], 1)])
def test_a_job_without_a_valid_point_fails(
    tmp_path: Path,
    cache_dir: Path,
    capsys: pytest.CaptureFixture[str],
    failing: list[str],
    code: int,
) -> None:
    """As under an engine that gives no tokens."""
    places = [f"runs_dir={tmp_path / 'runs'}", f"cache_dir={cache_dir}"]
    load = ["load.concurrency=[1]", "load.requests_at_least=2", "load.requests_per_user=2"]
    untracked = ["clock=virtual", "tracking.enabled=false"]
    [job] = compose.jobs_of(["deployment=a", *untracked, *load, *failing, *places])
    job.write(tmp_path / "job.json")

    assert run.answer([f"job={tmp_path / 'job.json'}"]) == code

    assert ("no point is valid" in capsys.readouterr().err) == bool(code)
    made = Attempt(tmp_path)
    assert made.run
    assert [bool(point.invalid) for point in made.run.points()] == [bool(code)]
    assert made.points_before == frozenset()

    run.answer([f"job={tmp_path / 'job.json'}"])  # begun anew, it measured them itself
    assert json.loads((tmp_path / "points_before.json").read_text()) == []
