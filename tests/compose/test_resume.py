"""The same command again measures what is missing, and nothing else."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from er import compose
from er.config import Config
from er.results.run_dir import RunDir
from er.study import job, known
from er.study.progress import Progress

KILLS = 20
LADDER = "[1,2,3,4,5,6,8,10,12,16,20,24,32,40,50]"


def config_of(folder: Path, cache_dir: Path, *overrides: str) -> Config:
    settings = [
        "deployment=a",
        "clock=virtual",
        "load.concurrency=[1,2,4]",
        "load.requests_per_user=2",
    ]
    places = [f"runs_dir={folder}", f"cache_dir={cache_dir}", "tracking.enabled=false"]
    [config] = compose.plan([*settings, *places, *overrides])
    return config


def run(config: Config, resume: bool = True) -> tuple[RunDir, str]:
    """The run directory, and what was said."""
    output = io.StringIO()
    sweep = job.Sweep(Progress([config], Console(file=output, width=500)), resume)
    sweep.run(config)
    return sweep.runs[0], output.getvalue()


def files_of(made: RunDir) -> dict[str, bytes]:
    """What was measured."""
    paths = [made.path / "points.json", *sorted((made.path / "requests").iterdir())]
    return {path.name: path.read_bytes() for path in paths}


def test_the_same_command_again_measures_nothing(tmp_path: Path, cache_dir: Path) -> None:
    config = config_of(tmp_path, cache_dir)
    first, _ = run(config)
    record = first.read("run.json")

    again, output = run(config)

    assert again == first
    assert "1, 2, 4 users taken from" in output
    assert "nothing is measured again" in output
    assert "predicted" not in output
    assert first.read("run.json") | {"tags": {}} == record | {"tags": {}}


def test_a_longer_ladder_measures_only_the_new_points(tmp_path: Path, cache_dir: Path) -> None:
    before, _ = run(config_of(tmp_path, cache_dir))
    kept = files_of(before)

    after, output = run(config_of(tmp_path, cache_dir, "load.concurrency=[2,3,4]"))

    assert after == before
    assert "2, 4 users taken from" in output
    assert [point.concurrency for point in after.points()] == [1, 2, 3, 4]
    assert files_of(after)["c0002.parquet"] == kept["c0002.parquet"]


def test_an_invalid_point_is_measured_again_but_not_predicted_again(
    tmp_path: Path, cache_dir: Path
) -> None:
    config = config_of(tmp_path, cache_dir)
    made, _ = run(config)
    points = made.read("points.json")
    points[1]["invalid"] = ["Little's law is broken"]
    made.write("points.json", points)
    real = config_of(tmp_path, cache_dir, "clock=real")
    real.load.gateway_probes = 0

    again, printed = run(config)

    assert "1, 2, 4 users taken from" in printed
    assert "2 users INVALID, and would be again" in printed
    assert files_of(again) == files_of(made)
    assert not (again.path / "set_aside").exists()
    assert known.complete(config, made)
    assert not known.complete(real, made)
    assert [point.concurrency for point in known.points(real, made)] == [1, 4]


def test_resume_false_measures_everything_again(tmp_path: Path, cache_dir: Path) -> None:
    first, _ = run(config_of(tmp_path, cache_dir))
    second, output = run(config_of(tmp_path, cache_dir), resume=False)

    assert second.path.name == f"{first.path.name}.2"
    assert "taken from" not in output
    assert files_of(second) == files_of(first)


def test_a_job_file_runs(tmp_path: Path, cache_dir: Path) -> None:
    config = config_of(tmp_path / "runs", cache_dir)
    compose.Job((), config).write(tmp_path / "job.json")
    command = [sys.executable, "-m", "er.run", f"job={tmp_path / 'job.json'}"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "runs" / "single").iterdir())) == 1


def test_killed_at_any_moment_the_points_are_those_of_an_undisturbed_run(
    tmp_path: Path, cache_dir: Path
) -> None:
    """The process is forked, so that twenty of them cost twenty runs and no start."""
    undisturbed, _ = run(config_of(tmp_path / "whole", cache_dir, f"load.concurrency={LADDER}"))
    config = config_of(tmp_path / "killed", cache_dir, f"load.concurrency={LADDER}")
    took_s = duration_s(config_of(tmp_path / "timed", cache_dir, f"load.concurrency={LADDER}"))
    chance = random.Random(0)

    for _ in range(KILLS):
        kill_after(config, chance.uniform(0, took_s))
    made, _ = run(config)

    assert files_of(made) == files_of(undisturbed)
    assert made.status() == "finished"
    assert len(list((tmp_path / "killed" / "single").iterdir())) == 1


def duration_s(config: Config) -> float:
    started_s = time.monotonic()
    run(config)
    return time.monotonic() - started_s


def kill_after(config: Config, after_s: float) -> None:
    """Run it in a process of its own, and end that without a word."""
    child = os.fork()
    if not child:
        try:
            run(config)
        finally:
            os._exit(0)
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.parametrize("left", ["c0002.jsonl", "c0002.parquet", "points.123.part"])
def test_the_partial_files_of_a_killed_process_are_not_a_point(
    tmp_path: Path, cache_dir: Path, left: str
) -> None:
    config = config_of(tmp_path, cache_dir, "load.concurrency=[1]")
    made, _ = run(config)
    (made.path / "requests" / left).write_text("half")

    again, _ = run(config_of(tmp_path, cache_dir, "load.concurrency=[1,2]"))

    assert sorted(files_of(again)) == ["c0001.parquet", "c0002.parquet", "points.json"]
    assert len(again.requests().query("concurrency == 2")) > 0
    assert json.loads((again.path / "run.json").read_text())["status"] == "finished"
