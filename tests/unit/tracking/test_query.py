"""Which published runs a figure shows."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from er import compose
from er.errors import ErError
from er.results.command_id import given_ms, new_id
from er.results.run_dir import RunDir
from er.tracking import query
from er.tracking.publish import publish
from er.tracking.store import open_store


@pytest.fixture(params=[True, False], ids=["timed", "earlier version"])
def timed(request: pytest.FixtureRequest) -> bool:
    """Whether ids of commands say when they were given."""
    return bool(request.param)


@pytest.fixture
def command(
    tmp_path: Path, finished_run: Callable[..., RunDir], uri: str, timed: bool
) -> Callable[..., list[str]]:
    """Publishes what one command runs: jobs of overrides; their ids in order."""
    made = 0

    def run(
        *jobs: list[str], study: str = "ladder", status: str = "finished", again: Sequence[str] = ()
    ) -> list[str]:
        """`again`: runs that the command takes from disk."""
        nonlocal made
        made += 1
        sweep = new_id() if timed else str(made)
        ids = []
        for run_id in again:
            taken = RunDir(Path(open_store(uri).get_run(run_id).data.tags["er.run_dir"]))
            taken.relabel(taken.read("run.json")["tags"] | {"er.sweep": sweep})
            assert publish(taken, uri) == run_id
        for overrides in jobs:
            fixed = [f"study={study}", f"runs_dir={tmp_path / 'runs'}"]
            config = compose.plan([*fixed, *overrides])[0]
            finished = finished_run(config, status)
            record = finished.read("run.json")
            record["tags"]["er.sweep"] = sweep
            finished.write("run.json", record)
            ids.append(publish(finished, uri))
        return ids

    return run


A, B, E = ["deployment=a"], ["deployment=b"], ["deployment=e"]


def ids(runs: list[query.PublishedRun]) -> list[str]:
    return [run.run_id for run in runs]


def test_the_newest_run_of_each_deployment_is_shown(command, uri) -> None:
    command(A, E)
    [first_e] = command(E)
    [newest_a] = command(A)
    command(A, status="failed")
    assert ids(query.shown(uri, "ladder")) == [newest_a, first_e]


def test_a_command_of_several_deployments_is_shown_without_others(command, uri) -> None:
    command(A, B)
    newest = command(A, E)
    assert sorted(ids(query.shown(uri, "ladder"))) == sorted(newest)


@pytest.mark.parametrize("timed", [True])
def test_the_newest_command_is_shown_also_where_its_runs_were_measured_before(command, uri) -> None:
    whole = command(A, B)
    [e] = command(E, again=whole[:1])
    assert ids(query.shown(uri, "ladder")) == [whole[0], e]
    assert ids(query.comparable_with(uri, query.shown(uri, "ladder"))) == whole[1:]
    for _ in range(2):
        command(again=whole)
        assert ids(query.shown(uri, "ladder")) == whole
    assert ids(query.comparable_with(uri, query.shown(uri, "ladder"))) == [e]
    command(again=[e])  # a single deployment has the others beside it
    assert ids(query.shown(uri, "ladder")) == [*whole, e]


def test_a_command_shows_its_own_runs_also_where_another_was_given_meanwhile(command, uri) -> None:
    whole = command(A, B)
    [e, b] = command(E, B)
    own = open_store(uri).get_run(whole[0]).data.tags["er.sweep"]
    assert ids(query.shown(uri, "ladder", own)) == whole
    assert sorted(ids(query.shown(uri, "ladder"))) == sorted([e, b])
    assert ids(query.shown(uri, "ladder", "none")) == ids(query.shown(uri, "ladder"))


def test_runs_of_another_kind_are_all_those_of_their_newest_command(command, uri) -> None:
    command([*A, "seed=7"], [*E, "seed=7"])
    several = command(E, [*E, "routing.policy=random"], [*E, "routing.policy=round_robin"])
    virtual = [replace(run, clock="virtual") for run in query.pinned(uri, several[:1])]
    own = [run.id for run in query.pinned(uri, several)]
    [others] = query.of_other_kinds(uri, "ladder", virtual).values()
    assert sorted(others) == sorted(own)


def test_an_id_of_a_command_says_when_it_was_given() -> None:
    before_ms = int(time.time() * 1000)
    given = given_ms(new_id())
    assert given is not None
    assert before_ms <= given <= time.time() * 1000
    assert given_ms("0a1b2c3d") is given_ms("") is None


def test_a_run_is_found_by_its_own_id_in_any_store(command, uri, tmp_path, empty_store) -> None:
    [published] = command(A)
    [run] = query.pinned(uri, [published])
    assert [found.run_id for found in query.pinned(uri, [run.id[:12]])] == [published]
    other = f"sqlite:///{shutil.copy(empty_store, tmp_path / 'other.db')}"
    [folder] = (tmp_path / "runs" / "ladder").iterdir()
    there = publish(RunDir(folder), other)
    assert there != published
    [again] = query.pinned(other, [run.id])
    assert (again.run_id, again.id, again.digest) == (there, run.id, run.digest)


def test_what_is_not_comparable_is_left_out(command, uri) -> None:
    command([*E, "seed=7"])
    [newest] = command(A)
    assert ids(query.shown(uri, "ladder")) == [newest]


@pytest.mark.parametrize(
    "setting", ["deployment.tp=8", "seed=1", "hardware=h200_sxm"], ids=["TP", "seed", "hardware"]
)
def test_a_sweep_over_one_deployment_is_shown_whole(command, uri, setting) -> None:
    command(B)
    sweep = command(B, [*B, setting])
    assert sorted(ids(query.shown(uri, "ladder"))) == sorted(sweep)


def test_another_study_is_never_shown(command, uri) -> None:
    mine = command(A, study="mine")
    command(A, E)
    assert ids(query.shown(uri, "mine")) == mine
    with pytest.raises(ErError, match=r"no finished run of study yours .* python -m er\.run"):
        query.shown(uri, "yours")


def test_pinned_runs_are_shown_whatever_is_newer(command, uri) -> None:
    old = command(A, E)
    command(A, E)
    assert ids(query.pinned(uri, [run[:12] for run in old])) == old
    with pytest.raises(ErError, match="no run begins with abc123"):
        query.pinned(uri, ["abc123"])
    with pytest.raises(ErError, match=r"runs begin with "):
        query.pinned(uri, [""])


def test_no_store_is_named_and_none_is_made(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ErError, match=r"^uri is '': give sqlite:///FILE"):
        query.shown("", "ladder")
    assert not list(tmp_path.iterdir())


def test_a_store_that_is_not_there_is_named_and_not_made(tmp_path) -> None:
    with pytest.raises(ErError, match=r"there is no MLflow store .*missing\.db"):
        query.shown(f"sqlite:///{tmp_path}/missing.db", "ladder")
    assert not (tmp_path / "missing.db").exists()


def test_points_and_requests_come_back(command, uri) -> None:
    command(A)
    [run] = query.shown(uri, "ladder")
    assert [point.concurrency for point in run.points] == [1, 2]
    requests = run.requests("concurrency", "ttft_s")
    assert list(requests.columns) == ["concurrency", "ttft_s"]
    assert len(requests) == 27
    assert len(run.measured("ttft_s")) == 24
