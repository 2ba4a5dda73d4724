"""A client that is stopped for a while: a point that is invalid in run, MLflow and figure."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
from mlflow.tracking import MlflowClient
from rich.console import Console

from er.config import Config
from er.load import batches
from er.results.request import Prompt
from er.study import measured, predicted
from er.study.job import Sweep
from er.study.measured import Serving
from er.study.progress import Progress
from er.tracking.query import shown
from paper_figures import fig4
from tests.unit.load import fakes
from tests.unit.load.fakes import HEAD, LAST_CHUNK, chunk, event

STOP_S = 1.2
STOPPED, UNDISTURBED = 4, 2  # users


async def steady(asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    """Twenty tokens in a tenth of a second; one prompt stops whoever asked for a while."""
    if asked["text_input"] == "stop":
        stop_the_worker()
    writer.write(HEAD)
    for _ in range(20):
        writer.write(chunk(event(" and")))  # one token, by any tokenizer
        await asyncio.sleep(0.005)
    writer.write(LAST_CHUNK)


def stop_the_worker() -> None:
    [worker] = fakes.running_workers()
    worker.suspend()
    threading.Timer(STOP_S, os.kill, (worker.pid, signal.SIGCONT)).start()


@pytest.fixture
def published(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A study like any other, but for what answers."""

    @contextmanager
    def serving(*_: object) -> Iterator[Serving]:
        with fakes.in_thread(steady) as server:
            yield Serving(server.endpoint, [])

    monkeypatch.setattr(measured, "serve", serving)
    monkeypatch.setattr(predicted, "points", lambda *_: [])
    prompts = [Prompt("go on", "t", 8, 20)] * 20
    stopping = [*prompts[:10], Prompt("stop", "t", 8, 20), *prompts[10:]]
    ladder = {UNDISTURBED: prompts, STOPPED: stopping}
    monkeypatch.setattr(batches, "build_batch", lambda _, concurrency: ladder[concurrency])
    config.load.concurrency = list(ladder)
    config.load.requests_per_user, config.load.requests_at_least = 6, 1
    # Far from what a busy machine does to the other point.
    config.load.max_loop_lag_s, config.load.min_concurrency = 0.1, 0.9
    config.tracking.uri = f"sqlite:///{tmp_path}/mlflow.db"
    Sweep(Progress([config], Console(quiet=True))).run(config)
    return config


def test_a_stopped_client_is_found_out_everywhere(published: Config) -> None:
    [run] = shown(published.tracking.uri, "ladder")
    undisturbed, stopped = run.points
    assert undisturbed.invalid == []
    assert any("load.workers" in reason for reason in stopped.invalid), stopped

    store = MlflowClient(tracking_uri=published.tracking.uri)

    def steps(name: str) -> list[int]:
        return [metric.step for metric in store.get_metric_history(run.run_id, name)]

    assert steps("latency/ttft_p50_s") == [UNDISTURBED]
    assert steps("validity/invalid_ttft_p50_s") == [STOPPED]

    figure = fig4.figure([run])
    [curve] = [line for line in figure.axes[0].lines if line.get_label().startswith("A:")]
    assert list(curve.get_xdata()) == [UNDISTURBED]
    assert [STOPPED] in [
        points.get_offsets()[:, 0].tolist() for points in figure.axes[0].collections
    ]
    plt.close(figure)
