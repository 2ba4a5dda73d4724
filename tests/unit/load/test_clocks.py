"""Requests of several nodes with different clocks are merged into one point."""

import time
from pathlib import Path

import pytest

from er.config import LoadClient
from er.load import clocks
from er.load.clocks import Offset
from er.load.users import run_point
from er.load.workers import processes_for
from tests.unit.load.fakes import Serve, load, prompt, stream

AHEAD_S = (5000.0, -3000.0)


def step_ahead(folder: Path, ahead_s: float) -> list[str]:
    """Starts a command on a node whose monotonic clock is ahead of this one's."""
    folder.mkdir()
    patch = f"import time\nreal = time.monotonic\ntime.monotonic = lambda: real() + {ahead_s}\n"
    (folder / "sitecustomize.py").write_text(patch)
    return ["env", f"PYTHONPATH={folder}"]


def test_times_of_several_nodes_are_converted_to_one_clock(serve: Serve, tmp_path: Path) -> None:
    steps = [step_ahead(tmp_path / str(at), ahead_s) for at, ahead_s in enumerate(AHEAD_S)]
    settings = load(client=LoadClient.sockets, workers="3", requests_at_least=12)
    answers = [prompt(output_tokens=5)]

    begin_s = time.monotonic()
    point = run_point(serve(stream).endpoint, answers, 4, settings, lambda _: None, steps)
    end_s = time.monotonic()

    assert point.processes == 3  # two on the first node
    assert {request.user for request in point.requests} == set(range(4))
    apart_s = clocks.bound_s(point.clocks)
    for offset, ahead_s in zip(point.clocks, AHEAD_S, strict=True):
        assert abs(offset.offset_s + ahead_s) < offset.bound_s < 0.5
    for request in point.requests:
        times_s = [request.intended_s, request.send_s, *request.token_times_s, request.end_s]
        assert begin_s - apart_s < min(times_s)
        assert max(times_s) < end_s + apart_s
        assert request.token_times_s == sorted(request.token_times_s)


def test_times_of_a_single_node_are_not_converted(serve: Serve, tmp_path: Path) -> None:
    settings = load(client=LoadClient.sockets, workers="2")
    steps = [step_ahead(tmp_path / "ahead", AHEAD_S[0])]

    point = run_point(serve(stream).endpoint, [prompt()], 2, settings, lambda _: None, steps)

    assert point.clocks == []
    assert min(request.send_s for request in point.requests) > time.monotonic() + AHEAD_S[0] / 2


def test_the_bound_holds_however_unevenly_the_round_trip_is_spent() -> None:
    for there_s, back_s in ((0.0, 0.02), (0.02, 0.0), (0.01, 0.01)):

        def ask(there_s: float = there_s, back_s: float = back_s) -> float:
            time.sleep(there_s)
            answer_s = time.monotonic() - 100
            time.sleep(back_s)
            return answer_s

        found = clocks.compare(ask)

        assert abs(found.offset_s - 100) <= found.bound_s
        assert found.bound_s >= 0.01


def test_a_clock_that_drifts_widens_the_bound() -> None:
    before, after = Offset(10.0, 0.001), Offset(10.004, 0.002)

    drifted = before.with_drift(after)

    assert drifted.offset_s == 10.0
    assert drifted.bound_s == pytest.approx(0.006)


def test_a_bound_that_is_large_for_the_window_is_a_doubt() -> None:
    offsets = [Offset(10.0, 0.001), Offset(20.0, 0.003), Offset(30.0, 0.002)]

    assert clocks.evidence(offsets)["clock_bound_s"] == pytest.approx(0.005)
    assert clocks.doubts(offsets, 2.0) == []
    [doubt] = clocks.doubts(offsets, 0.5)
    assert doubt.startswith("clocks of the load generator's nodes may be 5.00 ms apart")
    assert clocks.evidence([]) == {}
    assert clocks.doubts([], 0.0) == []


@pytest.mark.parametrize(
    ("users", "wanted", "nodes", "processes"),
    [(1, "auto", 2, 1), (4, "auto", 2, 2), (4, "1", 2, 2), (4000, "auto", 2, 8), (4, "3", 2, 3)],
)
def test_every_node_has_users(users: int, wanted: str, nodes: int, processes: int) -> None:
    assert processes_for(users, wanted, nodes) == processes
