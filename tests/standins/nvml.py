"""A driver with GPUs in place of libnvidia-ml.so: its C functions, as nvidia-ml-py calls them.

The bindings are the real ones: names, types, units and error codes are theirs. A function that is
not here does not exist in this driver, as one that is too new for an installed driver.
"""

import ctypes
import time
from typing import Any

import pynvml
import pytest

MIB = 2**20
OK = pynvml.NVML_SUCCESS


class Driver:
    """Two H100: each draws 500 W (its number more), at 1,980 MHz less 100 for its number."""

    def __init__(self, gpus: int = 2, energy: bool = True) -> None:
        self.opened = 0
        self.devices = [pynvml.struct_c_nvmlDevice_t() for _ in range(gpus)]
        self.energy = energy
        self.begin_s = time.monotonic()

    def _number(self, handle: Any) -> int:
        address = ctypes.addressof(handle.contents)
        return [ctypes.addressof(device) for device in self.devices].index(address)

    def power_mw(self, number: int) -> int:
        return 500_000 + 1000 * number

    def nvmlInitWithFlags(self, flags: int) -> int:  # noqa: N802
        assert flags == 0
        self.opened += 1
        return OK

    def nvmlShutdown(self) -> int:  # noqa: N802
        if not self.opened:
            return pynvml.NVML_ERROR_UNINITIALIZED
        self.opened -= 1
        return OK

    def nvmlDeviceGetHandleByIndex_v2(self, index: ctypes.c_uint, device: Any) -> int:  # noqa: N802
        if not self.opened:
            return pynvml.NVML_ERROR_UNINITIALIZED
        if index.value >= len(self.devices):
            return pynvml.NVML_ERROR_INVALID_ARGUMENT
        device._obj.contents = self.devices[index.value]
        return OK

    def nvmlDeviceGetUtilizationRates(self, handle: Any, rates: Any) -> int:  # noqa: N802
        rates._obj.gpu, rates._obj.memory = 90 + self._number(handle), 40
        return OK

    def nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:  # noqa: N802
        memory._obj.total = 81_559 * MIB
        memory._obj.used = (70_000 + self._number(handle)) * MIB
        memory._obj.free = memory._obj.total - memory._obj.used
        return OK

    def nvmlDeviceGetPowerUsage(self, handle: Any, milliwatts: Any) -> int:  # noqa: N802
        milliwatts._obj.value = self.power_mw(self._number(handle))
        return OK

    def nvmlDeviceGetClockInfo(self, handle: Any, kind: ctypes.c_uint, mhz: Any) -> int:  # noqa: N802
        assert kind.value == pynvml.NVML_CLOCK_SM
        mhz._obj.value = 1980 - 100 * self._number(handle)
        return OK

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, millijoules: Any) -> int:  # noqa: N802
        if not self.energy:
            return pynvml.NVML_ERROR_NOT_SUPPORTED
        watts = self.power_mw(self._number(handle)) / 1e3
        millijoules._obj.value = int(watts * (time.monotonic() - self.begin_s) * 1e3)
        return OK


def install(monkeypatch: pytest.MonkeyPatch, driver: Driver) -> None:
    """Have the bindings find this driver's functions."""

    def pointer(name: str) -> Any:
        if not hasattr(driver, name):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        return getattr(driver, name)

    monkeypatch.setattr(pynvml, "_LoadNvmlLibrary", lambda: None)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer", pointer)
