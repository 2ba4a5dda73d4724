"""What a person sees of a sweep that runs."""

import io
import re
from copy import deepcopy

import pytest
from example_requests import answered
from rich.console import Console

from er.config import Config
from er.results.point import measure
from er.study import progress
from er.study.progress import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_the_time_left_counts_requests_and_starts(config: Config, clock: list[float]) -> None:
    config.load.concurrency = [1, 2]
    out = io.StringIO()
    shown = Progress([config, config], Console(file=out, width=200))
    shown.start_job()
    clock[0] += 10  # the start of the deployment
    for done in range(1, 25):
        shown.request_done(1, done, counted=True)
        clock[0] += 1
    shown.point_done(measure([answered(i, 1) for i in range(24)], 1, config.load))
    # 24 of 96 requests took 24 s; one more deployment has to start: 72 s and 10 s.
    assert "[1/2] Llama 3 70B INT8, TP=4:     1 user, 24 requests" in out.getvalue()
    assert "valid, about 1:22 left" in out.getvalue()


def test_the_time_left_of_a_duration_follows_from_it(config: Config, clock: list[float]) -> None:
    config.load.concurrency, config.load.duration_s = [1, 2, 4], 60.0
    out = io.StringIO()
    shown = Progress([config], Console(file=out, width=200))
    shown.start_job()
    shown.request_done(1, 1, counted=True)
    clock[0] += 66
    shown.point_done(measure([answered(i, 1) for i in range(24)], 1, config.load))
    assert "valid, about 2:12 left" in out.getvalue()


def test_jobs_with_the_same_title_are_told_apart(config: Config) -> None:
    out = io.StringIO()
    jobs = [deepcopy(config) for _ in range(3)]
    jobs[0].engine.max_batch_size, jobs[2].deployment.tp = 16, 8
    shown = Progress(jobs, Console(file=out, width=200))
    for _ in jobs:
        shown.start_job()
        shown.say("starting")
    first, second, third = out.getvalue().splitlines()
    assert first == "[1/3] A INT8 TP4 batch 16: starting"
    assert second == "[2/3] A INT8 TP4: starting"
    assert third == "[3/3] Llama 3 70B INT8, TP=8: starting"


def test_a_doubtful_point_is_shown_as_invalid(config: Config) -> None:
    out = io.StringIO()
    shown = Progress([config], Console(file=out, width=200))
    shown.start_job()
    shown.point_done(measure([answered(0, 1)], 1, config.load))
    assert "INVALID" in out.getvalue()


def terminal(out: io.StringIO, width: int) -> Console:
    return Console(file=out, force_terminal=True, width=width, _environ={"TERM": "xterm"})


def test_a_terminal_shows_one_line_that_changes(config: Config) -> None:
    out = io.StringIO()
    shown = Progress([config], terminal(out, 60))
    shown.start_job()
    shown.request_done(1, 1, counted=True)
    shown.say("measuring what the gateway costs and much more than fits the line")
    assert "\n" not in out.getvalue()
    assert max(map(len, out.getvalue().split("\r\x1b[2K"))) < 60


def test_the_time_left_fits_a_terminal_of_80_columns(config: Config, clock: list[float]) -> None:
    config.deployment.id, config.deployment.experts = "d", 8
    out = io.StringIO()
    shown = Progress([config] * 5, terminal(out, 80))
    shown.start_job()
    clock[0] += 10
    shown.request_done(8, 1, counted=True)
    clock[0] += 3600
    shown.request_done(8, 12, counted=True)
    assert re.search(r"\[1/5\] D: 8 users, 12 requests of 24, about \d+:\d\d left$", out.getvalue())
