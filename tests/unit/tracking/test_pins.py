"""Pinned runs are drawn the same, whatever is published later, or refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from er import bundle
from er.config import Config
from er.errors import ConfigError, ErError
from er.results.run_dir import RunDir
from er.tracking import pins, query
from er.tracking.publish import publish
from paper_figures import command


def test_a_figure_of_pinned_runs_stays_the_same_byte_for_byte(
    config: Config, finished_run: Callable[..., RunDir], tmp_path: Path
) -> None:
    uri, lock = config.tracking.uri, tmp_path / "runs.lock.yaml"
    run_id = publish(finished_run(config), uri)
    bundle.answer(["pin", "ladder", str(lock), f"uri={uri}"])
    command.answer("fig4", [f"runs={lock}", f"uri={uri}", f"out={tmp_path / 'before'}"])
    publish(finished_run(config), uri)  # a newer one, which a figure of the study shows
    command.answer("fig4", [f"runs={lock}", f"uri={uri}", f"out={tmp_path / 'after'}"])
    before, after = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("before", "after")
    )
    assert len(before) == 4
    assert before == after
    assert [run.run_id for run in query.shown(uri, "ladder")] != [run_id]

    points = query.pinned(uri, [run_id])[0].files / "points.json"
    points.write_text(points.read_text().replace("24", "25"))
    with pytest.raises(ErError, match=r"is not what .* pinned"):
        pins.chosen(uri, str(lock))


def test_a_file_that_pins_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pins no runs"):
        pins.chosen("sqlite:///x.db", str(tmp_path / "none.yaml"))
    for text in (
        *("runs: 3", "runs: []", "runs:", "- a", "", "[" * 5000, "runs: [{run: abc}]"),
        *("runs: [{run: abc, digest: x}]", "runs: [{run: 5, digest: 6}]"),
        'runs: [{run: "a\' OR 1=1", digest: x}]',
    ):
        (tmp_path / "x.yaml").write_text(text)
        with pytest.raises(ConfigError, match=r"pins no runs: .+") as raised:
            pins.chosen("sqlite:///x.db", str(tmp_path / "x.yaml"))
        assert "\n" not in str(raised.value)
