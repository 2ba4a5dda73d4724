"""A run directory stays complete whatever happens to the process that writes it."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from example_requests import answered

from er.config import Config
from er.errors import ErError
from er.results import request_table
from er.results.open_run import open_run, require_writable
from er.results.point import Point, Summary, measure
from er.results.run_dir import RunDir


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDir]:
    """An empty run that is being measured."""
    with open_run(tmp_path / "study", "a", "key") as made:
        yield made


def test_points_are_read_as_they_were_written(
    config: Config, finished_run: Callable[..., RunDir]
) -> None:
    first, second = finished_run(config).points()
    assert first.invalid == []
    assert first.ttft_s.p50 == pytest.approx(0.1)
    assert "only 3 requests" in second.invalid[0]


def test_a_missing_number_is_null_in_the_files_and_nan_in_memory(
    config: Config, finished_run: Callable[..., RunDir]
) -> None:
    run = finished_run(config)
    text = (run.path / "points.json").read_text()
    assert not {"NaN", "Infinity"} & set(text.replace(",", " ").split())
    assert any("null" in line for line in text.splitlines())
    assert all(math.isnan(point.token_lateness_p50) for point in run.points())
    run.write("gateway_cost.json", {"pairs": 0, "ttft_difference_p50_s": math.nan})
    assert math.isnan(run.read_numbers("gateway_cost.json")["ttft_difference_p50_s"])


def test_an_interrupted_point_keeps_its_requests(run: RunDir) -> None:
    def interrupted() -> None:
        with run.request_log(8) as log:
            log.add(answered(0, 8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in (run.path / "requests").iterdir()] == ["c0008.parquet"]
    kept = pd.read_parquet(run.path / "requests" / "c0008.parquet")
    assert kept["ttft_s"].tolist() == pytest.approx([0.1])


def test_requests_are_on_disk_while_a_point_is_measured(run: RunDir) -> None:
    with run.request_log(1) as log:
        log.add(answered(0, 1))
        lines = (run.path / "requests" / "c0001.jsonl").read_text().splitlines()
        assert json.loads(lines[0])["token_times_s"] == answered(0, 1).token_times_s


def test_the_request_file_has_the_columns_of_the_request_table(run: RunDir) -> None:
    run.keep_requests(1, [answered(0, 1)])
    assert tuple(run.requests().columns) == request_table.COLUMNS


def test_the_newest_run_of_a_key_is_resumed_unless_resume_is_false(tmp_path: Path) -> None:
    with open_run(tmp_path, "a", "key") as first, open_run(tmp_path, "b", "key"):
        pass
    with open_run(tmp_path, "a", "key") as again:
        assert again.path == first.path
    with open_run(tmp_path, "a", "key", resume=False) as fresh:
        assert fresh.path == tmp_path / "a.2"
    with open_run(tmp_path, "a", "key") as newest:
        assert newest.path == fresh.path
    with open_run(tmp_path, "a", "another key") as other:
        assert other.path == tmp_path / "a.3"


def test_a_second_command_cannot_open_the_same_run(tmp_path: Path) -> None:
    with open_run(tmp_path, "a", "key"):  # noqa: SIM117
        with pytest.raises(ErError, match=r"another command is measuring .*resume=false"):
            open_run(tmp_path, "a", "key").__enter__()


def test_a_run_whose_process_is_gone_was_interrupted(tmp_path: Path) -> None:
    with open_run(tmp_path, "a", "key") as run:
        run.begin({}, {}, {})
        assert run.status() == "running"
    assert run.status() == "interrupted"


def test_a_point_that_is_measured_again_is_set_aside_first(config: Config, run: RunDir) -> None:
    for index in range(2):
        run.set_aside(4)
        run.keep_requests(4, [answered(index, 4)])
        run.add_point(measure([answered(index, 4)], 4, config.load))

    assert [point.concurrency for point in run.points()] == [4]
    assert len(run.requests()) == 1
    assert len(json.loads((run.path / "set_aside" / "001" / "points.json").read_text())) == 1
    assert (run.path / "set_aside" / "001" / "c0004.parquet").exists()


def test_every_command_that_measured_is_recorded(run: RunDir) -> None:
    run.begin({"seed": 1}, {"host": "one"}, {})
    (run.path / "logs" / "triton.log").write_text("one")
    run.begin({"seed": 1}, {"host": "two"}, {})

    assert run.read("provenance.json") == {"host": "two"}
    hosts = [
        run.read(f"sessions/{name}/session.json")["provenance"]["host"] for name in ("001", "002")
    ]
    assert hosts == ["one", "two"]
    assert (run.path / "sessions" / "002" / "logs_before" / "triton.log").read_text() == "one"
    assert list((run.path / "logs").iterdir()) == []


def test_an_error_of_the_block_is_not_reported_as_an_unwritable_run(tmp_path: Path) -> None:
    def fails() -> None:
        with open_run(tmp_path, "a", "key"):
            raise FileNotFoundError(2, "no such thing")

    with pytest.raises(FileNotFoundError, match="no such thing"):
        fails()


def test_an_unwritable_folder_of_runs_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_text("")
    with pytest.raises(ErError, match=r"cannot write runs to .*file.*runs_dir="):
        require_writable(str(folder))
    with pytest.raises(ErError, match=r"cannot write runs to .*file.*runs_dir="):
        open_run(folder, "a", "key").__enter__()


def test_an_unwritable_run_directory_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_run(tmp_path, "a", "key") as run:
        pass

    opens = Path.open

    def refuse(path: Path, mode: str = "r", *more: Any, **settings: Any) -> Any:
        if "w" in mode:
            raise PermissionError(13, "Permission denied")
        return opens(path, mode, *more, **settings)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ErError, match=rf"cannot write to {run.path}: .*make it writable"):
        open_run(tmp_path, "a", "key").__enter__()


def test_points_of_an_older_version_are_read(
    config: Config, finished_run: Callable[..., RunDir]
) -> None:
    run = finished_run(config)
    later = {each.name for each in fields(Point) if each.default_factory is not MISSING}
    later |= {each.name for each in fields(Point) if each.default is not MISSING}
    entries = run.read("points.json")
    older = [{name: entry[name] for name in entry if name not in later} for entry in entries]
    assert len(older[0]) < len(entries[0])
    run.write("points.json", older)
    assert [point.ttft_s for point in run.points()] == [
        Summary(**entry["ttft_s"]) for entry in run.read_numbers("points.json")
    ]


def test_a_missing_file_is_named_with_advice(run: RunDir) -> None:
    with pytest.raises(ErError, match=r"config\.json is missing: put the file back, or move"):
        run.read("config.json")


def test_missing_and_damaged_request_files_are_noticed(run: RunDir) -> None:
    assert not run.has_requests(4)
    run.keep_requests(4, [answered(0, 4)])
    assert run.has_requests(4)
    file = run.path / "requests" / "c0004.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(
        ErError, match=r"c0004\.parquet is damaged \(.+\): put the file back, or move"
    ):
        run.has_requests(4)


@pytest.mark.parametrize(
    "content", [b"", b'{"a":', b"\xff\xfe", b"[1,2]", b"null", b'[{"ttft_x": 1}]']
)
def test_a_damaged_file_of_points_is_named_with_advice(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "points.json").write_bytes(content)
    with pytest.raises(ErError, match=r"points.json is damaged \(.+\): put the file back, or move"):
        RunDir(tmp_path).points()


def test_a_copy_beside_a_file_of_requests_is_of_no_point(run: RunDir) -> None:
    """As a person makes it by hand: its requests would count twice."""
    with run.request_log(8) as log:
        log.add(answered(0, 8))
    file = run.path / "requests" / "c0008.parquet"
    for name in ("c0008 (copy).parquet", "c0008.2.parquet", "old.parquet"):
        (file.parent / name).write_bytes(file.read_bytes())
    assert len(run.requests("ttft_s")) == 1


def test_folders_that_git_leaves_out_as_empty_are_made_again(tmp_path: Path) -> None:
    with open_run(tmp_path, "a", "key") as run:
        pass
    for name in ("requests", "logs"):
        (run.path / name).rmdir()
    with open_run(tmp_path, "a", "key") as again:
        assert (again.path / "requests").is_dir()
        assert (again.path / "logs").is_dir()
