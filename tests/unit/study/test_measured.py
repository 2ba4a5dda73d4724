"""What is predicted beside a measured ladder."""

import json
from pathlib import Path
from typing import Any

import pytest

from er.compose import plan
from er.config import Config
from er.results.point import measure
from er.results.run_dir import RunDir
from er.simulation.spec import spec_of
from er.study import measured
from er.study.progress import Progress


class Said(Progress):
    """Keeps what would be shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, what: str) -> None:
        self.lines.append(what)


def config(*overrides: str) -> Config:
    [only] = plan(["deployment=b", "load.concurrency=[1]", *overrides])
    return only


def predicted(chosen: Config, folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    progress = Said()
    run = RunDir(folder)
    run.write("run.json", {})
    run.add_point(measure([], 1, chosen.load))
    measured.predict(chosen, run, progress)
    file = folder / "predicted.json"
    return json.loads(file.read_text()) if file.exists() else [], progress.lines


def test_a_real_engine_is_predicted_as_the_simulated_one_with_its_limits(tmp_path: Path) -> None:
    real = config("engine=trtllm", "server=container")
    assert spec_of(real) == spec_of(config())
    tight = spec_of(config("engine=llmapi", "server=container", "engine.max_batch_size=7"))
    assert (tight.engine.max_batch_size, tight.engine.tokens_per_block) == (7, 32)
    ((point,), said) = predicted(real, tmp_path)
    assert point["concurrency"] == 1
    assert said == []


def test_weights_without_step_times_are_not_predicted(tmp_path: Path) -> None:
    chosen = config("engine=trtllm_int8_smoothquant", "server=container", "deployment=d")
    points, (said,) = predicted(chosen, tmp_path)
    assert points == []
    assert said.startswith("not predicted: no step times are known for engine.kind")
    assert said.endswith("with int8_smoothquant weights")


@pytest.mark.parametrize("engine", ["trtllm_fp8", "llmapi_fp8"])
def test_fp8_weights_are_predicted_with_their_own_step_times(engine: str, tmp_path: Path) -> None:
    chosen = config(f"engine={engine}", "server=container", "deployment=d")
    assert spec_of(chosen).name == "llama3_70b/fp8/tp1"
    ((point,), said) = predicted(chosen, tmp_path)
    assert said == []
    low, high = point["predicted_interval"]["tpot_s.p50"]
    assert 0 < low < point["tpot_s"]["p50"] < high
