"""What of a run is on disk, and whether the requests of its points are."""

from collections.abc import Callable

import pytest

from er.config import Config
from er.errors import ErError
from er.results.run_dir import RunDir
from er.study import known


def test_a_point_without_its_requests_is_told_and_a_damaged_file_refused(
    config: Config, finished_run: Callable[..., RunDir]
) -> None:
    run = finished_run(config)
    assert [point.concurrency for point in known.points(config, run)] == [1]
    assert known.describe_lost(config, run) == []
    file = run.path / "requests" / "c0001.parquet"
    content = file.read_bytes()
    file.unlink()
    [line] = known.describe_lost(config, run)
    assert line.startswith(f"{run.path}: the requests of 1 user are missing: figures of single")
    file.write_bytes(content[:100])
    with pytest.raises(
        ErError, match=r"c0001\.parquet is damaged \(.+\): put the file back, or move"
    ):
        known.describe_lost(config, run)
