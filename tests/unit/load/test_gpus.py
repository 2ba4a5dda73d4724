"""Samples of GPUs through NVIDIA's own bindings."""

import time
from pathlib import Path

import pandas as pd
import pytest

from er.compose import plan
from er.load import gpus
from er.load.point import Target, measure_point
from er.results.open_run import open_run
from er.tracking import metrics, note
from tests.standins.nvml import MIB, Driver, install
from tests.unit.load.fakes import Serve, prompt, stream


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "INTERVAL_S", 0.02)


def test_the_gpus_of_the_deployment_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(gpus=4)
    install(monkeypatch, driver)

    begin_s = time.monotonic()
    with gpus.watch_gpus([1, 2]) as watch:
        time.sleep(0.3)
    length_s = time.monotonic() - begin_s

    known = watch.evidence(tokens=100)
    energy_j = known.pop("gpu_energy_j")
    assert 0.3 * 1003 <= energy_j <= length_s * 1003
    assert known.pop("gpu_energy_per_token_j") == energy_j / 100
    assert known == {
        "gpu_busy_mean": pytest.approx(0.915),
        "gpu_memory_used_max_bytes": 70_002 * MIB,
        "gpu_power_mean_w": pytest.approx(501.5),
        "gpu_power_max_w": 502,
        "gpu_clock_mean_mhz": pytest.approx(1830),
        "gpu_clock_min_mhz": 1780,
    }
    assert {sample.gpu for sample in watch.samples} == {1, 2}
    assert driver.opened == 0


def test_values_that_a_gpu_does_not_report_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Driver(gpus=1, energy=False))
    monkeypatch.delattr(Driver, "nvmlDeviceGetPowerUsage")

    with gpus.watch_gpus([0, 1]) as watch:  # there is no second one
        pass

    names = {"gpu_busy_mean", "gpu_memory_used_max_bytes", "gpu_clock_mean_mhz"}
    assert set(watch.evidence(tokens=100)) == names | {"gpu_clock_min_mhz"}


def test_without_a_driver_there_are_no_samples() -> None:
    with gpus.watch_gpus([0]) as watch:
        pass
    assert watch.evidence(tokens=100) == {}
    assert watch.samples == []


def test_a_point_holds_the_samples_of_its_gpus(
    serve: Serve, tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, Driver())
    [config] = plan(["load.requests_per_user=4", f"cache_dir={cache_dir}"])
    batch = [prompt(f"prompt {number}") for number in range(8)]

    with open_run(tmp_path, "a", "key") as run:
        target = Target(serve(stream).endpoint, gpus=[0, 1])
        point = measure_point(target, batch, 2, config, run)

    tokens = run.requests()["output_tokens"].sum()
    energy_j = point.client["gpu_energy_j"]
    assert point.client["gpu_energy_per_token_j"] == energy_j / tokens
    assert metrics.values_of(point)["gpu/energy_per_token_j"] == energy_j / tokens
    assert note.csv([point]).splitlines()[0].endswith(",J per token")
    rows = pd.read_csv(run.path / "gpus" / "c0002.csv")
    assert list(rows.columns) == [
        "time_s", "gpu", "busy", "memory_bytes", "power_w", "sm_clock_mhz", "node"
    ]  # fmt: skip
    assert set(rows["gpu"]) == {0, 1}
    run.set_aside(2)
    assert (run.path / "set_aside/001/c0002.csv").exists()
