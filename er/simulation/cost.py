"""How long one iteration of a TensorRT-LLM engine takes, in integer nanoseconds.

With B requests decoding, each over c tokens of KV cache on average, and contexts prefilled from a1
to b1, a2 to b2, ... (P tokens in total; a is 0 but for later chunks and reused blocks) in the same
iteration:

    linear(B) + decode_attention(B, c)                                              without prompts
    linear(B + P) + decode_attention(B, c) + launch + sum of prefill(b) - prefill(a)    with them

- linear(T): matrix products, norms and all-reduces over T tokens; prompts and decoding requests
  share them. The output head, over sequences, is taken at T for a step without prompts.
- decode_attention(B, c): bound by reading the KV cache, above a floor; c is rounded down.
- prefill(p): attention within a prompt, beyond the launch of one kernel for each layer. A chunk
  attends to all before it: it takes what it adds to the attention of the whole [inferred].

All come from measured kernel times (`data/`, written by bake.py), linear between the sizes measured
and continued beyond the last. `engine.correction` turns them into times of a server. Each of these
has a scale: kernels bound by memory (matrix products up to the tokens at which computing takes as
long as reading the weights, element-wise kernels, attention of decoding requests); those bound by
computing (what more tokens add to matrix products, attention within prompts); all-reduces of few
tokens, in which GPUs wait for each other. What more tokens add to all-reduces is bound by NVLink
and taken as measured. The host, which kernel times leave out, takes its time in every iteration,
for each request that decodes in it, and for each prompt that begins in it.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from er.config import Precision
from er.errors import ConfigError
from er.simulation.kernel_times import kernel_times, require_measured
from er.simulation.memory import ACTIVATION_BYTES, weight_bytes
from er.simulation.spec import Bound, EngineSpec

NS_PER_S = 10**9
MS_PER_S = 10**3
# All-reduces up to these tokens, 2 MB of activations in Llama 3 70B, are bound by latency.
LATENCY_BOUND_TOKENS = 128
NS_PER_MS = 10**6
FP8_TOO_SLOW = 0.08  # tokens/s below those published, over 81 runs; docs/prediction.md
NAMES = {"matrices": "matrix products"}  # of kernels, in sentences
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class StepCost:
    """Tables from which the time of any iteration is looked up, in nanoseconds."""

    linear_ns: Ints  # by tokens, up to max_num_tokens
    decode_ns: Ints  # whole iteration without prompts, by (requests, mean context)
    prefill_ns: Ints  # attention within a prompt and the host, by its tokens; 0 for none
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
    kernels = kernels_of(table, spec)
    engine, correction = spec.engine, spec.engine.correction
    requests = np.arange(engine.max_batch_size + 1.0)
    contexts = np.arange(engine.max_seq_len + 1.0)
    tokens = np.arange(engine.max_num_tokens + 1.0)

    matrices_ms = line(tokens, table["tokens"], kernels.matrices)
    bound_by_memory_ms = np.minimum(matrices_ms, matrices_ms[: kernels.ridge_tokens + 1].max())
    memory_ms = bound_by_memory_ms + line(tokens, table["tokens"], kernels.elementwise)
    memory_ms[: len(requests)] += line(requests, table["batches"], kernels.output_head)
    memory_ms[len(requests) :] += kernels.output_head[0]
    all_reduce_ms = line(tokens, table["tokens"], kernels.all_reduce)
    few_tokens_ms = np.minimum(all_reduce_ms, all_reduce_ms[: LATENCY_BOUND_TOKENS + 1].max())
    linear_ms = (
        correction.memory_scale * memory_ms
        + correction.compute_scale * (matrices_ms - bound_by_memory_ms)
        + correction.communication_scale * few_tokens_ms
        + (all_reduce_ms - few_tokens_ms)
    )
    linear_ms[0] = 0.0
    by_batch = np.array([line(contexts, table["contexts"], at) for at in kernels.decode])
    attention_ms = between_rows(requests, np.array(table["batches"], float), by_batch)
    attention_ms[0] = 0.0
    prefill_ms = line(contexts, table["prompts"], kernels.prefill)
    launch_ms = float(kernels.prefill[0])

    linear_ns = nanoseconds(linear_ms)
    decode_ns = nanoseconds(correction.memory_scale * attention_ms)
    host_s = correction.host_step_s + correction.host_sequence_s * requests
    decode_ns += (linear_ns[: len(requests)] + nanoseconds(MS_PER_S * host_s))[:, None]
    prefill_ns = nanoseconds(correction.compute_scale * np.maximum(prefill_ms - launch_ms, 0))
    prefill_ns[1:] += round(correction.host_prompt_s * NS_PER_S)
    return StepCost(
        linear_ns=linear_ns,
        decode_ns=decode_ns,
        prefill_ns=prefill_ns,
        launch_ns=round(correction.compute_scale * launch_ms * NS_PER_MS),
    )


@dataclass(frozen=True)
class Kernels:
    """Kernel times of one engine in milliseconds, at the sizes that its table names."""

    ridge_tokens: int  # up to which matrix products are bound by memory
    matrices: list[float]  # by tokens
    elementwise: list[float]  # by tokens
    all_reduce: list[float]  # by tokens
    output_head: list[float]  # by sequences
    decode: list[list[float]]  # attention, by sequences and context
    prefill: list[float]  # attention within a prompt, by its tokens


def kernels_of(table: dict[str, Any], spec: EngineSpec) -> Kernels:
    """The kernel times of one engine. Raises ConfigError when they are not known, not above zero,
    or faster than memory can deliver the weights."""
    require_measured(table["matrices"], "deployment.precision", spec.name, spec)
    require_measured(table["attention"], "engine.kv_cache_precision", spec.attention_name, spec)
    matrices, layers, attention = (
        table[kind][name]
        for kind, name in (
            ("matrices", spec.name),
            ("layers", f"{spec.model.name}/tp{spec.tp}"),
            ("attention", spec.attention_name),
        )
    )
    ridge_tokens = table["ridge_tokens"][spec.precision.value]
    matrices_ms = matrices["ms"]
    if spec.bound is Bound.roofline:
        fastest_ms = MS_PER_S * matrix_bytes(spec) / bandwidth_of(spec)
        matrices_ms = [fastest_ms * max(1.0, tokens / ridge_tokens) for tokens in table["tokens"]]
    if spec.bound is Bound.fp16:
        name = replace(spec, precision=Precision.fp16).name
        matrices_ms = table["matrices"][name]["ms"]
    kernels = Kernels(
        ridge_tokens=ridge_tokens,
        matrices=matrices_ms,
        elementwise=layers["elementwise"],
        all_reduce=layers["all_reduce"],
        output_head=layers["output_head"],
        decode=attention["decode"],
        prefill=attention["prefill"],
    )
    check(kernels, spec)
    return kernels


def origin_of(spec: EngineSpec) -> dict[str, Any]:
    """Where the step times of an engine come from: how many of the sizes in its tables were
    measured, lie between measured ones, or beyond them; and that in a few words."""
    table = kernel_times(spec.hardware.name)
    kinds = {
        "matrices": table["matrices"][spec.name]["origin"],
        "attention": table["attention"][spec.attention_name]["origin"],
    }
    words = [
        f"{NAMES.get(kind, kind)} "
        + ", ".join(
            f"{count / sum(found.values()):.0%} {name}" for name, count in found.items() if count
        )
        for kind, found in kinds.items()
    ]
    if spec.precision is Precision.int8:
        words.append("INT8 held against nothing, bounded by roofline and FP16")
    if spec.precision is Precision.fp8:
        words.append(f"FP8 fitted on nothing, predicted {FP8_TOO_SLOW:.0%} too slow on average")
    return {"about": "; ".join(words), "source": table["source"], **kinds}


def check(kernels: Kernels, spec: EngineSpec) -> None:
    """Refuse times that are not above zero, or faster than memory can deliver the weights."""
    where = f"er/simulation/data/{spec.hardware.name}.json: {spec.name}"
    kinds = [kernels.matrices, kernels.elementwise, kernels.output_head, kernels.prefill]
    times = np.concatenate([np.ravel(np.array(kind)) for kind in [*kinds, kernels.decode]])
    if not bool((times > 0).all() and min(kernels.all_reduce) >= 0):  # also refuses NaN
        raise ConfigError(
            f"{where} has a time that is not above 0: bake the table again (er/simulation/bake.py)"
        )
    roofline_ms = MS_PER_S * matrix_bytes(spec) / bandwidth_of(spec)
    step_ms = kernels.matrices[0]
    if step_ms < roofline_ms:
        raise ConfigError(
            f"{where} takes {step_ms:.2f} ms a step, less than the {roofline_ms:.2f} ms in which "
            "memory delivers the weights: correct hardware.memory_bandwidth_bytes_per_s or the "
            "table"
        )


def matrix_bytes(spec: EngineSpec) -> int:
    """Bytes of the weights that matrix products read, without those of the output head."""
    head_and_embedding = ACTIVATION_BYTES * spec.model.embedding_parameters
    return weight_bytes(spec.model, spec.precision) - head_and_embedding


def bandwidth_of(spec: EngineSpec) -> float:
    """Bytes per second of the memory of all GPUs of an engine."""
    return spec.tp * spec.hardware.memory_bandwidth_bytes_per_s


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
