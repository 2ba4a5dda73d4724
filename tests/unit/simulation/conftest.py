"""Engines for tests."""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from er.compose import plan
from er.config import Correction, Precision, SimulatedEngine
from er.simulation.spec import EngineSpec, spec_of

NONE = Correction(1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0)
RAW = SimulatedEngine("simulated", 256, 8192, 4096, 64, 0.9, 3_000_000_000, NONE)


@functools.cache
def composed(model: str, hardware: str) -> EngineSpec:
    [config] = plan([f"model@deployment.model={model}", f"hardware={hardware}"])
    return spec_of(config)


@pytest.fixture
def spec_for() -> Callable[..., EngineSpec]:
    """The engine whose row in the tables has this name, without any correction for serving."""

    def build(
        row: str, hardware: str = "h100_sxm", correction: Correction = NONE, **settings: Any
    ) -> EngineSpec:
        model, precision, tp = row.split("/")
        return replace(
            composed(model, hardware),
            precision=Precision(precision),
            tp=int(tp[2:]),
            engine=replace(RAW, correction=correction, **settings),
        )

    return build
