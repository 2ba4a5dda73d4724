"""How long one iteration of a TensorRT-LLM engine takes, in integer nanoseconds.

With B requests decoding, each over c tokens of KV cache on average, and contexts prefilled from a1
to b1, a2 to b2, ... (P tokens in total; a is 0 but for later chunks and reused blocks) in the same
iteration:

    linear(B) + decode_attention(B, c)                                              without prompts
    linear(B + P) + decode_attention(B, c) + launch + sum of prefill(b) - prefill(a)    with them

- linear(T): matrix products, norms and all-reduces over T tokens; prompts and decoding requests
  share them.
- decode_attention(B, c): bound by reading the KV cache, above a floor; c is rounded down.
- prefill(p): attention within a prompt, beyond the launch of one kernel for each layer. A chunk
  attends to all before it: it takes what it adds to the attention of the whole [inferred].

All come from measured kernel times (`data/`, written by bake.py), linear between the sizes measured
and continued beyond the last. Each is multiplied by engine.step_time_scale, and
engine.host_overhead_s is added to every iteration: kernels alone leave out what the host does.
"""

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from er.errors import ConfigError
from er.simulation.memory import weight_bytes
from er.simulation.spec import EngineSpec

NS_PER_S = 10**9
NS_PER_MS = 10**6
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class StepCost:
    """Tables from which the time of any iteration is looked up, in nanoseconds."""

    linear_ns: Ints  # by tokens, up to max_num_tokens
    decode_ns: Ints  # whole iteration without prompts, by (requests, mean context)
    prefill_ns: Ints  # attention within a prompt, by its tokens; 0 for none
    launch_ns: int  # once in an iteration with prompts

    def decode(self, decoding: int, context: int) -> int:
        """Time of an iteration of `decoding` requests over `context` tokens of KV cache in all."""
        return int(self.decode_ns[decoding, context // decoding])

    def mixed(self, decoding: int, context: int, chunks: list[tuple[int, int]]) -> int:
        """Time of an iteration that also prefills contexts, each from one token to another."""
        tokens = decoding + sum(after - before for before, after in chunks)
        shared = self.linear_ns[tokens] - self.linear_ns[decoding]
        attention = sum(
            max(int(self.prefill_ns[after] - self.prefill_ns[before]), 0)
            for before, after in chunks
        )
        mean_context = context // decoding if decoding else 0
        return int(self.decode_ns[decoding, mean_context] + shared) + self.launch_ns + attention


def step_cost(spec: EngineSpec) -> StepCost:
    """Tables for one engine. Raises ConfigError when nothing sound was measured for it."""
    table = kernel_times(spec.hardware.name)
    row = measured(table, spec)
    check(row, spec)
    engine = spec.engine

    requests = np.arange(engine.max_batch_size + 1.0)
    contexts = np.arange(engine.max_seq_len + 1.0)
    tokens = np.arange(engine.max_num_tokens + 1.0)
    prompts = np.arange(engine.max_seq_len + 1.0)

    linear_ms = line(tokens, table["tokens"], row["linear"])
    linear_ms[0] = 0.0
    by_batch = np.array([line(contexts, table["contexts"], at) for at in row["decode_attention"]])
    attention_ms = between_rows(requests, np.array(table["batches"], float), by_batch)
    attention_ms[0] = 0.0
    prefill_ms = line(prompts, table["prompts"], row["prefill_attention"])
    launch_ms = float(row["prefill_attention"][0])

    linear_ns = nanoseconds(linear_ms * engine.step_time_scale)
    decode_ns = nanoseconds(attention_ms * engine.step_time_scale)
    decode_ns += linear_ns[: len(requests), None] + round(engine.host_overhead_s * NS_PER_S)
    return StepCost(
        linear_ns=linear_ns,
        decode_ns=decode_ns,
        prefill_ns=nanoseconds(np.maximum(prefill_ms - launch_ms, 0.0) * engine.step_time_scale),
        launch_ns=round(launch_ms * engine.step_time_scale * NS_PER_MS),
    )


def kernel_times(hardware: str) -> dict[str, Any]:
    """The table of a node type, in milliseconds. Raises ConfigError when there is none."""
    folder = resources.files("er.simulation") / "data"
    try:
        loaded: dict[str, Any] = json.loads((folder / f"{hardware}.json").read_text())
    except FileNotFoundError:
        files = [item.name for item in folder.iterdir() if item.name.endswith(".json")]
        have = sorted(name.removesuffix(".json") for name in files)
        raise ConfigError(
            f"hardware.name is {hardware}: no kernel times are kept for it: choose of {have}"
        ) from None
    return loaded


def measured(table: dict[str, Any], spec: EngineSpec) -> dict[str, Any]:
    """The row of `table` for one engine."""
    rows: dict[str, dict[str, Any]] = table["rows"]
    if spec.name not in rows:
        raise ConfigError(
            f"deployment: no kernel times of {spec.name} on {spec.hardware.name}: "
            f"choose of {sorted(rows)}"
        )
    return rows[spec.name]


def check(row: dict[str, Any], spec: EngineSpec) -> None:
    """Refuse times that are not above zero, or faster than memory can deliver the weights."""
    times = np.concatenate([np.ravel(np.array(times, float)) for times in row.values()])
    if not bool((times > 0).all()):  # also refuses NaN
        raise ConfigError(
            f"er/simulation/data/{spec.hardware.name}.json: {spec.name} has a time that is not "
            "above 0: bake the table again (er/simulation/bake.py)"
        )
    bandwidth = spec.tp * spec.hardware.memory_bandwidth_bytes_per_s
    # A step does not read the input embedding: half of the embedding parameters, in 16 bits.
    read_bytes = weight_bytes(spec.model, spec.precision) - spec.model.embedding_parameters
    roofline_ms = 1e3 * read_bytes / bandwidth
    if row["linear"][0] < roofline_ms:
        raise ConfigError(
            f"er/simulation/data/{spec.hardware.name}.json: {spec.name} takes "
            f"{row['linear'][0]:.2f} ms a step, less than the {roofline_ms:.2f} ms in which memory "
            "delivers the weights: correct hardware.memory_bandwidth_bytes_per_s or the table"
        )


def line(at: Floats, x: list[float], y: list[float]) -> Floats:
    """Linear interpolation of (x, y) at the points `at`, continued beyond the last x."""
    slope = (y[-1] - y[-2]) / (x[-1] - x[-2])
    inside: Floats = np.interp(at, x, y) + slope * np.maximum(at - x[-1], 0)
    return inside


def between_rows(at: Floats, x: Floats, rows: Floats) -> Floats:
    """Linear interpolation between the rows of a table, continued beyond the last x."""
    left = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    share = np.maximum(at - x[left], 0) / (x[left + 1] - x[left])
    mixed: Floats = rows[left] + share[:, None] * (rows[left + 1] - rows[left])
    return mixed


def nanoseconds(ms: Floats) -> Ints:
    """Milliseconds as integer nanoseconds."""
    whole: Ints = np.rint(ms * NS_PER_MS).astype(np.int64)
    return whole
