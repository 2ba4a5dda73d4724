"""Sample the GPUs of a deployment while a point runs: use, memory, power, clocks, energy.

NVML's units are percent, bytes, milliwatts, MHz and millijoules (since the driver was loaded). A
value that the library or the GPU does not report is left out.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pynvml

INTERVAL_S = 1.0


@dataclass(frozen=True)
class Sample:
    """One GPU at one time; None for values that it does not report."""

    time_s: float  # since the first sample of the point
    gpu: int  # its number on its node
    busy: float | None  # share of the time in which a kernel ran
    memory_bytes: float | None  # in use
    power_w: float | None
    sm_clock_mhz: float | None
    node: str = ""  # its name, in a job on several nodes


@dataclass
class GpuWatch:
    """Samples of one point."""

    samples: list[Sample] = field(default_factory=list)
    energy_j: float | None = None  # of all GPUs together, over the point

    def evidence(self, tokens: int) -> dict[str, float]:
        """Evidence of the point, in which `tokens` arrived; unknown values are left out."""
        memory, power = self._values("memory_bytes"), self._values("power_w")
        busy, clock = self._values("busy"), self._values("sm_clock_mhz")
        known = {}
        if busy:
            known["gpu_busy_mean"] = _mean(busy)
        if memory:
            known["gpu_memory_used_max_bytes"] = max(memory)
        if power:
            known["gpu_power_mean_w"] = _mean(power)  # of one GPU
            known["gpu_power_max_w"] = max(power)
        if clock:
            known["gpu_clock_mean_mhz"] = _mean(clock)
            known["gpu_clock_min_mhz"] = min(clock)
        if self.energy_j is not None:
            known["gpu_energy_j"] = self.energy_j
            if tokens:
                known["gpu_energy_per_token_j"] = self.energy_j / tokens
        return known

    def _values(self, name: str) -> list[float]:
        values = [getattr(sample, name) for sample in self.samples]
        return [value for value in values if value is not None]


@contextmanager
def watch_gpus(numbers: Sequence[int]) -> Iterator[GpuWatch]:
    """Sample the GPUs with these numbers while the block lasts."""
    watch = GpuWatch()
    with opened(numbers) as handles:
        if not handles:
            yield watch
            return
        stop = threading.Event()
        sampler = threading.Thread(target=sample, args=[watch, handles, stop], daemon=True)
        before_mj = energies_mj(handles)
        sampler.start()
        try:
            yield watch
        finally:
            stop.set()
            sampler.join()
            after_mj = energies_mj(handles)
            if before_mj is not None and after_mj is not None:
                watch.energy_j = (after_mj - before_mj) / 1e3


@contextmanager
def opened(numbers: Sequence[int]) -> Iterator[dict[int, Any]]:
    """NVML's handle of each GPU, by its number; empty without a driver."""
    if not numbers:
        yield {}
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield {}
        return
    try:
        handles = {gpu: value(pynvml.nvmlDeviceGetHandleByIndex, gpu) for gpu in numbers}
        yield {gpu: handle for gpu, handle in handles.items() if handle is not None}
    finally:
        pynvml.nvmlShutdown()


def sample(watch: GpuWatch, handles: dict[int, Any], stop: threading.Event) -> None:
    """Add a sample of every GPU each INTERVAL_S, until `stop` is set."""
    begin_s = time.monotonic()
    while True:
        now_s = time.monotonic() - begin_s
        watch.samples += [read(now_s, gpu, handle) for gpu, handle in handles.items()]
        if stop.wait(INTERVAL_S):
            return


def read(time_s: float, gpu: int, handle: Any) -> Sample:
    """Sample one GPU."""
    rates = value(pynvml.nvmlDeviceGetUtilizationRates, handle)
    memory = value(pynvml.nvmlDeviceGetMemoryInfo, handle)
    power_mw = value(pynvml.nvmlDeviceGetPowerUsage, handle)
    clock_mhz = value(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM)
    return Sample(
        time_s=time_s,
        gpu=gpu,
        busy=None if rates is None else rates.gpu / 100,
        memory_bytes=None if memory is None else float(memory.used),
        power_w=None if power_mw is None else power_mw / 1e3,
        sm_clock_mhz=None if clock_mhz is None else float(clock_mhz),
    )


def energies_mj(handles: dict[int, Any]) -> int | None:
    """The energy that all GPUs together have used, in mJ; None unless each of them reports it."""
    found = [value(pynvml.nvmlDeviceGetTotalEnergyConsumption, h) for h in handles.values()]
    return sum(found) if None not in found else None


def value(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function of NVML; None when this GPU does not support it."""
    try:
        return function(*arguments)
    except pynvml.NVMLError:
        return None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
