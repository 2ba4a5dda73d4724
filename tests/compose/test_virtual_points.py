"""The points of a small virtual run, digit for digit: only a change of numbers may change them."""

import hashlib
from pathlib import Path

from rich.console import Console

from er import compose
from er.results.open_run import open_run
from er.study import predicted
from er.study.progress import Progress

POINTS = "823ba9b3dc34751caf5f2595ab5f97e61619be4d79bdb592d1db705c7404559f"


def test_the_points_of_a_small_virtual_run_are_the_same(tmp_path: Path, cache_dir: Path) -> None:
    settings = ["clock=virtual", "load.concurrency=[1,5,50]", f"runs_dir={tmp_path}"]
    [config] = compose.plan(["deployment=a", f"cache_dir={cache_dir}", *settings])
    with open_run(tmp_path, "a", "0" * 64) as run:
        predicted.walk_the_ladder(config, run, Progress([config], Console(quiet=True), job=0))

    assert hashlib.sha256((run.path / "points.json").read_bytes()).hexdigest() == POINTS
