"""TERM in a batch job: the requests in flight end, within a limit, and no others begin."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from er.compose import plan
from er.config import Arrivals
from er.load import server_side
from er.load.point import Target, measure_point
from er.load.users import run_point
from er.process import stopping
from er.results.open_run import open_run
from er.results.request import Request
from tests.unit.load.fakes import Answer, Serve, load, prompt, stream

Body = dict[str, Any]

TIMERS: list[threading.Timer] = []

pytestmark = pytest.mark.usefixtures("client")


class EndedError(Exception):
    """What the handler that was there before raises."""


@pytest.fixture(autouse=True)
def _ends_on_term() -> Iterator[None]:
    def end(*_: object) -> None:
        raise EndedError

    before = signal.signal(signal.SIGTERM, end)
    yield
    join_timers()
    assert signal.getsignal(signal.SIGTERM) is end
    signal.signal(signal.SIGTERM, before)


def join_timers() -> None:
    while TIMERS:
        TIMERS.pop().join()


def term_after(delay_s: float) -> None:
    TIMERS.append(threading.Timer(delay_s, os.kill, (os.getpid(), signal.SIGTERM)))
    TIMERS[-1].start()


async def slow(body: Body, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.3)
    await stream(body, writer)


def stall(*terms_s: float) -> Answer:
    """An answer that never comes; so long after the first request TERM does."""
    due_s = list(terms_s)

    async def answer(_: Body, __: asyncio.StreamWriter) -> None:
        while due_s:
            term_after(due_s.pop())
        await asyncio.sleep(3600)

    return answer


def run(serve: Serve, answer: Answer, on_request: Any, **settings: Any) -> list[Request]:
    wanted = load(
        requests_per_user=50, warmup_requests_per_user=0, request_timeout_s=60, **settings
    )
    return run_point(serve(answer).endpoint, [prompt()], 4, wanted, on_request).requests


@pytest.mark.parametrize("arrivals", [{}, {"arrivals": Arrivals.open_loop}])
def test_requests_in_flight_end_after_term(serve: Serve, arrivals: dict[str, Any]) -> None:
    seen: list[Request] = []

    def on_request(request: Request) -> None:
        seen.append(request)
        if len(seen) == 5:
            term_after(0)
            term_after(0.1)  # passed on by a script

    with stopping.graceful(30):
        assert run(serve, slow, on_request, **arrivals) == seen
        join_timers()
        with pytest.raises(EndedError):
            stopping.end_if_stopped()

    assert 5 <= len(seen) < 20
    assert all(request.ok for request in seen)


def test_a_second_term_ends_at_once(serve: Serve) -> None:
    begin_s = time.monotonic()

    with pytest.raises(EndedError), stopping.graceful(30):
        run(serve, stall(0.1, 0.1 + stopping.SAME_TERM_S + 0.3), lambda _: None)

    assert stopping.SAME_TERM_S < time.monotonic() - begin_s < 25


def test_requests_that_do_not_end_are_cut_at_the_limit(serve: Serve) -> None:
    begin_s = time.monotonic()

    with pytest.raises(EndedError), stopping.graceful(0.5):
        run(serve, stall(0.1), lambda _: None)

    assert 0.5 < time.monotonic() - begin_s < 50


def test_with_nothing_to_stop_term_ends_at_once() -> None:
    with pytest.raises(EndedError), stopping.graceful(30):
        signal.raise_signal(signal.SIGTERM)


def test_the_limit_ends_with_the_block() -> None:
    terms: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: terms.append(number))
    try:
        with stopping.graceful(0.2), stopping.stoppable(lambda: None):
            signal.raise_signal(signal.SIGTERM)
        time.sleep(0.4)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert terms == []


def test_a_point_is_kept_while_a_server_is_waited_for_that_has_died(
    serve: Serve, tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []

    def read(_: object) -> None:
        calls.append(None)
        if len(calls) == 2:  # after the load
            raise KeyboardInterrupt

    monkeypatch.setattr(server_side, "read", read)
    [config] = plan(["load.requests_per_user=4", f"cache_dir={cache_dir}"])
    target = Target(serve(stream).endpoint)

    with suppress(KeyboardInterrupt), open_run(tmp_path, "a", "key") as directory:
        measure_point(target, [prompt()], 2, config, directory)

    [point] = directory.points()
    assert point.invalid[-1] == f"interrupted after {len(directory.requests())} requests"
