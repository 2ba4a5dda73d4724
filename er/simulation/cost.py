"""How long one iteration of a TensorRT-LLM engine takes.

Times are integer picoseconds: sums of them are exact in any order, and 64 bits hold 106 days.

With B requests decoding over a KV cache of S tokens in total, and P prompt tokens prefilled in the
same iteration, the raw time is

    decode(B) + kv * S                            when P = 0
    max(prefill(P + B), decode(B)) + kv * S       otherwise

- decode(B): the table's step time at context 512, less kv * 512 B; linear between its batches.
- kv: bytes of keys and values of one token over memory bandwidth, which bounds decoding attention.
- prefill(T): linear through (1, the table's step time of one decoding request) and the table's
  prefill times, and on beyond the last. Prompt and decoding tokens share the matrix products.

The raw time is multiplied by engine.step_time_scale, and engine.host_overhead_s is added: kernels
alone leave out what the host does between two steps.
"""

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from er.config import Hardware, Model, Precision, SimulatedEngine
from er.errors import ConfigError
from er.simulation.memory import kv_bytes_per_token

PS_PER_S = 10**12
PS_PER_MS = 10**9


@dataclass(frozen=True)
class StepCost:
    """Tables from which the time of any iteration is looked up, in picoseconds."""

    decode_ps: list[int]  # by decoding requests, without KV reads; [0] is 0
    prefill_ps: list[int]  # by tokens of an iteration that has prompt tokens; [0] is 0
    kv_ps: int  # for each token of KV cache that decoding requests read
    overhead_ps: int  # for each iteration

    def iteration_ps(self, decoding: int, context: int, prefill: int) -> int:
        """Time of an iteration of `decoding` requests, which read `context` tokens of KV cache in
        total, and `prefill` prompt tokens."""
        linear = self.decode_ps[decoding]
        if prefill:
            linear = max(linear, self.prefill_ps[prefill + decoding])
        return linear + self.kv_ps * context + self.overhead_ps


def step_cost(
    model: Model, precision: Precision, tp: int, hardware: Hardware, engine: SimulatedEngine
) -> StepCost:
    """Tables for one engine. Raises ConfigError when nothing was measured for it."""
    table = step_times(hardware.name)
    raw = measured(table, model, precision, tp, hardware)
    kv_ms = 1e3 * kv_bytes_per_token(model, tp) / hardware.memory_bandwidth_bytes_per_s

    batches = np.array(table["decode_batch"], float)
    step_ms = np.array(raw["decode"], float)
    linear_ms = step_ms - kv_ms * batches * table["decode_context_tokens"]
    decode_ms = extended(np.arange(engine.max_batch_size + 1.0), batches, linear_ms)

    tokens = np.array([1, *table["prefill_tokens"]], float)
    whole_ms = np.array([step_ms[0], *raw["prefill"]], float)
    prefill_ms = extended(np.arange(engine.max_num_tokens + 1.0), tokens, whole_ms)
    return StepCost(
        decode_ps=scaled_ps(decode_ms, engine.step_time_scale),
        prefill_ps=scaled_ps(prefill_ms, engine.step_time_scale),
        kv_ps=round(kv_ms * engine.step_time_scale * PS_PER_MS),
        overhead_ps=round(engine.host_overhead_s * PS_PER_S),
    )


def step_times(hardware: str) -> dict[str, Any]:
    """The step-time table of a node type, in milliseconds.

    Raises ConfigError when there is none.
    """
    folder = resources.files("er.simulation") / "data"
    try:
        loaded: dict[str, Any] = json.loads((folder / f"{hardware}.json").read_text())
    except FileNotFoundError:
        have = sorted(item.name.removesuffix(".json") for item in folder.iterdir())
        raise ConfigError(
            f"hardware.name is {hardware}: no step times are kept for it: choose of {have}"
        ) from None
    return loaded


def measured(
    table: dict[str, Any], model: Model, precision: Precision, tp: int, hardware: Hardware
) -> dict[str, list[float]]:
    """The row of `table` for one engine."""
    key = f"{model.name}/{precision.value}/tp{tp}"
    rows: dict[str, dict[str, list[float]]] = table["step_ms"]
    if key not in rows:
        raise ConfigError(
            f"deployment: no step times of {key} on {hardware.name}: choose of {sorted(rows)}"
        )
    return rows[key]


def extended(
    at: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Linear interpolation of (x, y) at the points `at`, continued beyond the last x."""
    slope = (y[-1] - y[-2]) / (x[-1] - x[-2])
    line: NDArray[np.float64] = np.interp(at, x, y) + slope * np.maximum(at - x[-1], 0)
    return line


def scaled_ps(raw_ms: NDArray[np.float64], scale: float) -> list[int]:
    """Milliseconds as integer picoseconds; the entry for nothing to do is 0."""
    table: list[int] = np.rint(raw_ms * scale * PS_PER_MS).astype(np.int64).tolist()
    table[0] = 0
    return table
