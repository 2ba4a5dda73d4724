"""What er.diff says of two runs."""

import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from er import compose, diff
from er.errors import ConfigError, ErError
from er.results.run_dir import RunDir

Finished = Callable[..., RunDir]


def test_two_runs_are_told_apart(
    tmp_path: Path, finished_run: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [
        finished_run(compose.plan([f"seed={seed}", f"runs_dir={tmp_path / 'runs'}"])[0])
        for seed in (0, 7)
    ]
    assert list(diff.settings_apart(*runs)) == [("configuration", "seed", "0", "7")]
    point = runs[1].points()[0]
    slower = replace(point, ttft_s=replace(point.ttft_s, p50=2 * point.ttft_s.p50))
    entries = runs[1].read("points.json")
    runs[1].write("points.json", [asdict(slower), *entries[1:]])
    diff.answer([str(run.path) for run in runs])
    told = capsys.readouterr().out
    assert "What differs" in told
    assert re.search(
        r"^ *1 +2\.000 +1\.000 +1\.000 +1\.000 +1\.000 +1\.000 +yes", told, re.MULTILINE
    )


CHANGES = {
    "code": ("provenance.json", "git_commit", "c" * 40),
    "packages": ("provenance.json", "packages", {"numpy": "1.0"}),
    "GPU": ("provenance.json", "gpus", ["H200, 141000 MiB, 570.1"]),
    "driver": ("provenance.json", "gpus", ["H100, 80000 MiB, 580.2"]),
    "container": ("config.json", "engine", {"container": {"image": "triton:25.06"}}),
    "host": ("provenance.json", "host", "another"),
    "load generator": ("config.json", "load", {"client": "aiohttp"}),
    "configuration": ("config.json", "deployment", {"precision": "fp16"}),
}
BEFORE = {
    "provenance.json": {
        "git_commit": "a" * 40, "packages": {"numpy": "2.0"}, "host": "one",
        "gpus": ["H100, 80000 MiB, 570.1"],
    },
    "config.json": {
        "engine": {"container": {"image": "triton:25.05"}}, "load": {"client": "sockets"},
        "deployment": {"precision": "int8", "tp": 4, "experts": 1},
    },
}  # fmt: skip


@pytest.mark.parametrize("group", CHANGES)
def test_whatever_differs_is_named_with_what_it_belongs_to(tmp_path: Path, group: str) -> None:
    runs = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        runs.append(RunDir(tmp_path / name))
        for file, values in BEFORE.items():
            runs[-1].write(file, values)
    file, key, value = CHANGES[group]
    before = BEFORE[file][key]
    changed = {**before, **value} if isinstance(before, dict) else value
    runs[1].write(file, {**BEFORE[file], key: changed})
    found = list(diff.settings_apart(*runs))
    assert {row[0] for row in found} == {group}
    assert all(row[2] != row[3] for row in found)
    assert list(diff.settings_apart(runs[0], runs[0])) == []


def test_runs_without_a_point_in_common_or_of_other_kinds_are_compared_as_far_as_they_go(
    tmp_path: Path, finished_run: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    first = finished_run(compose.plan([f"runs_dir={tmp_path / 'runs'}"])[0])
    entry = asdict(first.points()[0])
    other = RunDir(tmp_path / "other")
    other.write("run.json", {})
    other.write("config.json", {"study": "load", "target": {"url": "http://x"}})
    diff.answer([str(first.path), str(other.path)])
    assert "no concurrency has a point in both runs" in capsys.readouterr().out
    entry["ttft_s"]["p50"] = float("nan")
    other.write("points.json", [entry])
    diff.answer([str(first.path), str(other.path)])
    told = capsys.readouterr().out
    assert re.search(r"^ *1 +- +1\.000 +1\.000", told, re.MULTILINE)
    assert not re.search(r"\bnan\b", told)
    other.path.joinpath("config.json").write_text("{")
    with pytest.raises(ErError, match=r"config\.json is damaged"):
        diff.answer([str(first.path), str(other.path)])


def test_diff_takes_two_runs_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give two runs"):
        diff.answer(["one"])
    with pytest.raises(ErError, match="is no run directory"):
        diff.folder_of(str(tmp_path), "")
