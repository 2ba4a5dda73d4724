"""Worker processes on plain sockets, and the lag of a blocked loop."""

import os
import time
from collections import Counter
from contextlib import suppress

import psutil
import pytest

from er.config import LoadClient
from er.errors import ErError
from er.load.users import run_point
from er.load.workers import processes_for
from er.results.request import Request
from tests.unit.load.fakes import Serve, load, prompt, running_workers, stream


def test_lags_show_a_loop_that_was_held_up(serve: Serve) -> None:
    def on_request(_: Request) -> None:
        time.sleep(0.05)

    point = run_point(serve(stream).endpoint, [prompt()], 1, load(), on_request)
    assert max(point.loop_lags_s) > 0.03


@pytest.mark.parametrize("workers", [2, 3, 8])
def test_workers_share_the_users_and_the_requests(serve: Serve, workers: int) -> None:
    server = serve(stream)
    settings = load(client=LoadClient.sockets, workers=str(workers), requests_at_least=23)
    point = run_point(server.endpoint, [prompt("a"), prompt("b")], 5, settings, lambda _: None)
    assert point.processes == min(workers, 5)
    kinds = Counter((request.warmup, request.cooldown) for request in point.requests)
    assert kinds[False, False] == 23
    assert kinds[True, False] == 5
    assert {request.user for request in point.requests} == set(range(5))
    assert len({request.index for request in point.requests}) == len(point.requests)
    assert all(request.ok for request in point.requests)
    assert server.most_in_flight == 5
    assert point.read_delays_s


@pytest.mark.parametrize(
    ("users", "wanted", "idle", "processes"),
    [
        (1, "auto", 100, 1),
        (400, "auto", 100, 1),
        (1000, "auto", 100, 2),
        (10_000, "auto", 100, 4),
        (10_000, "auto", 25, 1),
        (10_000, "8", 0, 8),
        (2, "8", 100, 2),
    ],
)
def test_workers_follow_the_users_and_the_free_cores(
    monkeypatch: pytest.MonkeyPatch, users: int, wanted: str, idle: int, processes: int
) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda _: 100.0 - idle)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4))
    assert processes_for(users, wanted) == processes


def test_a_worker_that_dies_is_an_error(serve: Serve) -> None:
    def on_request(_: Request) -> None:
        for worker in running_workers():
            with suppress(psutil.NoSuchProcess):  # a request that was under way reports once more
                worker.kill()

    settings = load(client=LoadClient.sockets, requests_per_user=1000)
    with pytest.raises(ErError, match="a worker of the load generator died"):
        run_point(serve(stream).endpoint, [prompt()], 2, settings, on_request)
