"""A run on disk, whole after whatever happens to its process."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from example_requests import answered

from er.config import Config
from er.errors import ErError
from er.results import run_dir
from er.results.keys import run_key, study_key
from er.results.run_dir import RunDir


def test_points_come_back_as_they_were(config: Config, finished_run: Callable[..., RunDir]) -> None:
    first, second = finished_run(config).points()
    assert first.invalid == []
    assert first.ttft_s.p50 == pytest.approx(0.1)
    assert "only 3 requests" in second.invalid[0]


def test_files_are_json_where_a_number_has_no_value(
    config: Config, finished_run: Callable[..., RunDir]
) -> None:
    run = finished_run(config)
    text = (run.path / "points.json").read_text()
    assert not {"NaN", "Infinity"} & set(text.replace(",", " ").split())
    assert any("null" in line for line in text.splitlines())
    assert all(math.isnan(point.token_lateness_p50) for point in run.points())
    run.write("gateway_cost.json", {"pairs": 0, "ttft_difference_p50_s": math.nan})
    assert math.isnan(run.read_numbers("gateway_cost.json")["ttft_difference_p50_s"])


def test_an_interrupted_point_keeps_its_requests(config: Config) -> None:
    run = run_dir.create(config, run_key(config), {}, {})

    def interrupted() -> None:
        with run.request_log(8) as log:
            log.add(answered(0, 8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in (run.path / "requests").iterdir()] == ["c0008.parquet"]
    kept = pd.read_parquet(run.path / "requests" / "c0008.parquet")
    assert kept["ttft_s"].tolist() == pytest.approx([0.1])


def test_requests_are_on_disk_while_a_point_is_measured(config: Config) -> None:
    run = run_dir.create(config, run_key(config), {}, {})
    with run.request_log(1) as log:
        log.add(answered(0, 1))
        lines = (run.path / "requests" / "c0001.jsonl").read_text().splitlines()
        assert json.loads(lines[0])["token_times_s"] == answered(0, 1).token_times_s


def test_two_starts_in_one_second_get_two_directories(config: Config) -> None:
    paths = {run_dir.create(config, run_key(config), {}, {}).path for _ in range(3)}
    assert len(paths) == 3


def test_a_directory_that_cannot_be_written_is_named(config: Config, tmp_path: Path) -> None:
    config.runs_dir = str(tmp_path / "file")
    Path(config.runs_dir).write_text("")
    for attempt in (run_dir.require_writable, lambda c: run_dir.create(c, "key", {}, {})):
        with pytest.raises(ErError, match=r"cannot write runs to runs_dir .*file.*runs_dir="):
            attempt(config)


def test_keys_follow_what_is_measured(config: Config) -> None:
    run_before, study_before = run_key(config), study_key(config)
    config.runs_dir = "elsewhere"
    assert (run_key(config), study_key(config)) == (run_before, study_before)
    config.deployment.tp = 8
    assert run_key(config) != run_before
    assert study_key(config) == study_before
    config.seed = 1
    assert study_key(config) != study_before
