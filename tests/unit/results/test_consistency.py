"""Points that contradict themselves or their requests are found."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from example_requests import answered

from er.config import Config
from er.errors import ErError
from er.results import consistency
from er.results.point import Point, measure
from er.results.run_dir import RunDir
from er.study.settling import notes_of

USERS, COUNT = 8, 30
Finished = Callable[..., RunDir]


@pytest.fixture
def run(config: Config, finished_run: Finished) -> RunDir:
    """A run with one more point, of 30 measured requests after 8 of warm-up, one of them failed."""
    made = finished_run(config)
    requests = [answered(i, USERS, 0.1 + i / 1000, user=i % USERS) for i in range(USERS + COUNT)]
    for request in requests[:USERS]:
        request.warmup = True
    requests[-1].error, requests[-1].token_times_s = "500", []
    made.keep_requests(USERS, requests)
    made.add_point(measure(requests, USERS, config.load))
    return made


def scaled(*path: str, by: float) -> Callable[[dict[str, Any]], None]:
    """Multiplies one value of a point, or all numbers of a summary."""

    def edit(entry: dict[str, Any]) -> None:
        for name in path[:-1]:
            entry = entry[name]
        value = entry[path[-1]]
        if isinstance(value, dict):
            changed = {name: v and v * by if name != "count" else v for name, v in value.items()}
            entry[path[-1]] = changed
        else:
            entry[path[-1]] = value * by

    return edit


def set_values(**values: object) -> Callable[[dict[str, Any]], None]:
    """Sets values of a point."""
    return lambda entry: entry.update(values)


EDITS = {
    "a median above its own p99": (scaled("ttft_s", "p50", by=3), r"ttft_s\.p50 is .*, above"),
    "a mean above the highest": (scaled("itl_s", "mean", by=9), r"itl_s\.mean is .*, above"),
    "a bound below its quantile": (scaled("e2e_s", "p50_high", by=0.1), r"e2e_s\.p50 is .*, above"),
    "a slower TTFT": (scaled("ttft_s", by=1.01), r"ttft_s\.min is .*, by its requests 0\.108"),
    "a faster TPOT": (scaled("tpot_s", by=0.5), r"tpot_s\.min is 0\.005, by its requests 0\.01"),
    "a slower E2E": (scaled("e2e_s", by=2), "little_ratio|e2e_s"),
    "a median alone": (scaled("ttft_s", "p50", by=1.001), r"ttft_s\.p50 is .*, by its requests"),
    "a lower throughput": (scaled("tokens_per_s", by=0.1), "little_ratio is"),
    "a lower throughput that keeps Little's law": (
        lambda entry: [scaled(name, by=0.1)(entry) for name in ("tokens_per_s", "little_ratio")],
        r"tokens_per_s is .*, by its requests",
    ),
    "fewer requests per second": (scaled("requests_per_s", by=0.5), "requests_per_s is"),
    "longer answers": (
        lambda entry: [
            scaled(name, by=by)(entry)
            for name, by in (("output_tokens_mean", 2), ("little_ratio", 0.5))
        ],
        "output_tokens_mean is 6, by its requests 3",
    ),
    "more requests": (set_values(requests=60, errors=31), "it says 60 measured requests, .* 30"),
    "requests of a summary": (
        lambda entry: entry["e2e_s"].update(count=17), "e2e_s is of 17 requests, 29 were answered",
    ),
    "no errors": (set_values(errors=0), "ttft_s is of 29 requests, 30 were answered"),
}  # fmt: skip


def edit(run: RunDir, change: Callable[[dict[str, Any]], object]) -> None:
    """Edit the last point of points.json by hand."""
    entries = json.loads((run.path / "points.json").read_text())
    change(entries[-1])
    (run.path / "points.json").write_text(json.dumps(entries))


def test_an_unedited_point_is_consistent(run: RunDir) -> None:
    assert consistency.contradictions_of_run(run) == {}
    consistency.require_consistent(run)


@pytest.mark.parametrize("kind", EDITS)
def test_an_edited_point_is_reported_with_the_value_that_differs(run: RunDir, kind: str) -> None:
    change, message = EDITS[kind]
    edit(run, change)
    found = consistency.contradictions_of_run(run)
    assert {*found} == {USERS}
    assert re.search(message, found[USERS])
    with pytest.raises(ErError, match=f"{run.path.name}: its point of 8 users") as raised:
        consistency.require_consistent(run)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:17], "it says 30 measured requests, its file has 9"),
        (lambda rows: pd.concat([rows, rows[-1:]]), "its file has 31"),
        (lambda rows: rows.assign(concurrency=4), "its file has requests of 4 users"),
        (lambda rows: rows.assign(ttft_s=rows.ttft_s * 2), r"ttft_s\.min is"),
    ],
    ids=["cut", "longer", "of another point", "edited"],
)
def test_changed_requests_are_reported(
    run: RunDir, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    file = run.path / "requests" / "c0008.parquet"
    change(pd.read_parquet(file)).to_parquet(file)
    assert re.search(message, consistency.contradictions_of_run(run)[USERS])


def test_without_requests_only_the_order_within_the_point_is_checked(run: RunDir) -> None:
    (run.path / "requests" / "c0008.parquet").unlink()
    edit(run, scaled("ttft_s", by=1.5))
    assert consistency.contradictions_of_run(run) == {}
    edit(run, scaled("ttft_s", "p50", by=3))
    assert "above" in consistency.contradictions_of_run(run)[USERS]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, ""),
        (
            {"kept": COUNT + 1},
            "it says 120 measured requests, of which the last 31 are kept, its file has 30",
        ),
        ({"notes": []}, "it says 120 measured requests, its file has 30"),
        ({"ttft_s": None}, r"ttft_s is from .*, of one of its requests"),
    ],
    ids=["sample", "another number", "no sample", "slower"],
)
def test_a_sample_of_a_longer_prediction_is_checked_by_its_number_and_range(
    tmp_path: Path, config: Config, changes: dict[str, Any], message: str
) -> None:
    load = replace(config.load, requests_at_least=1)
    every = [answered(i, 1, 0.1 + i % 7 / 1000) for i in range(4 * COUNT)]
    kept = changes.get("kept", COUNT)
    changes = {name: value for name, value in changes.items() if name != "kept"}
    point = replace(measure(every, 1, load), notes=notes_of(4, len(every), kept))
    if "ttft_s" in changes:
        slower = {k: v if k == "count" else 3 * v for k, v in asdict(point.ttft_s).items()}
        changes = {"ttft_s": type(point.ttft_s)(**slower)}
    run = RunDir(tmp_path / "run")
    (run.path / "requests").mkdir(parents=True)
    run.keep_requests(1, every[-COUNT:])
    changed: Point = replace(point, **changes)
    if "requests" in changes:
        changed = replace(changed, errors=1)
    values = {"load": {"arrivals": "closed_loop", "think_time_s": 0.0}}
    found = consistency.contradictions_of_points([changed], run, values)
    assert {*found} == ({1} if message else set())
    assert re.search(message, found.get(1, ""))
