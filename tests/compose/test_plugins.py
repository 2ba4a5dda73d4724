"""Launchers and sweepers of Hydra run the jobs if they are chosen."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from er.compose.launch import plugins_of
from er.errors import ConfigError
from er.options import parse_arguments
from er.results.command_id import given_ms
from er.results.run_dir import RunDir
from er.run import COMMAND, answer
from er.study.launched import figure_of

ROOT = Path(__file__).parent.parent.parent


def run(tmp_path: Path, cache_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    own = (f"runs_dir={tmp_path}", f"cache_dir={cache_dir}", "tracking.enabled=false")
    return subprocess.run(
        [sys.executable, "-m", "er.run", *arguments, *own],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_joblib_runs_every_job_and_names_the_failed_one(tmp_path: Path, cache_dir: Path) -> None:
    small = ("clock=virtual", "load.concurrency=[2]", "load.requests_at_least=8")
    full = "engine.kv_cache_free_gpu_mem_fraction=0.9,0.8,0.001"  # no room for one prompt
    done = run(tmp_path, cache_dir, "-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2",
               *small, "load.requests_per_user=4", "deployment=e", full)  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.count("run directory: ") == 2
    runs = [RunDir(path.parent) for path in tmp_path.glob("*/*/run.json")]
    [command] = {run.read("run.json")["tags"]["er.sweep"] for run in runs}  # figures show all of it
    assert given_ms(command)
    [output] = [line for line in done.stderr.splitlines() if line.startswith("er: ")]
    assert "kv_cache_free_gpu_mem_fraction=0.001" in output


def test_optuna_searches_the_most_users(tmp_path: Path, cache_dir: Path) -> None:
    done = run(
        tmp_path,
        cache_dir,
        "+experiment=most_users",
        "hydra.sweeper.n_trials=6",
        "deployment.tp=1",
        "deployment.experts=choice(1,16)",
        "engine.max_batch_size=choice(2,8)",
        "capacity.prompts=20",
        "load.requests_at_least=20",
        "load.requests_per_user=1",
        "load.warmup_requests_per_user=0",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [results] = tmp_path.glob("sweeps/*/optimization_results.yaml")
    best = yaml.safe_load(results.read_text())
    carried = [
        figure_of(RunDir(path), "") for path in (tmp_path / "most_users").iterdir() if path.is_dir()
    ]
    assert best["best_value"] == max(carried) > min(carried) > 0
    assert best["best_params"]["engine.max_batch_size"] == 8
    assert "needs 16 GPUs" in done.stderr


def test_plugins_are_known_from_groups_and_from_experiments() -> None:
    for arguments, names in {
        ("deployment=a",): [],
        ("-m", "hydra/launcher=joblib", "seed=0,1"): ["JoblibLauncher"],
        ("+experiment=most_users",): ["OptunaSweeper"],
    }.items():
        assert plugins_of(parse_arguments(COMMAND, arguments)) == names
    with pytest.raises(ConfigError, match=r"^hydra/launcher=none is not installed: pip install"):
        plugins_of(parse_arguments(COMMAND, ["hydra/launcher=none"]))


def test_jobs_that_measure_do_not_run_side_by_side(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="would disturb what they measure"):
        answer(["-m", "hydra/launcher=joblib", "seed=0,1", f"runs_dir={tmp_path}"])
    assert not list(tmp_path.iterdir())
