"""Bakes NVIDIA's measured kernel times into the small tables of `er/simulation/data`.

Runs in an environment of its own, since the source needs other packages than this project:

    python -m venv aic && aic/bin/pip install aiconfigurator==0.8.0
    aic/bin/python er/simulation/bake.py er/simulation/data
"""

import csv
import json
import logging
import sys
import warnings
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiconfigurator  # type: ignore[import-not-found]
from aiconfigurator.sdk import common, config  # type: ignore[import-not-found]
from aiconfigurator.sdk.backends.factory import get_backend  # type: ignore[import-not-found]
from aiconfigurator.sdk.inference_session import (  # type: ignore[import-not-found]
    InferenceSession,
)
from aiconfigurator.sdk.models import get_model  # type: ignore[import-not-found]
from aiconfigurator.sdk.perf_database import get_database  # type: ignore[import-not-found]

TRTLLM = {"h100_sxm": "1.0.0rc3", "h200_sxm": "1.0.0rc3", "a100_sxm": "1.0.0"}
MODELS = {
    "llama3_8b": "meta-llama/Meta-Llama-3.1-8B",
    "llama3_70b": "meta-llama/Meta-Llama-3.1-70B",
}
# fp8 is that of engines: scales are fixed when a checkpoint is converted.
PRECISIONS = {"fp16": "float16", "int8": "int8_wo", "fp8": "fp8_static"}
TABLED = {"fp8_static": "fp8"}  # as the source's own tables call it
KV_PRECISIONS = {"fp16": "float16", "fp8": "fp8"}  # with FP8, prompts attend in FP8 too
WITHOUT_FP8 = "a100_sxm"
TPS = (1, 2, 4, 8)
# The sizes at which matrix products were measured: between them the source itself is linear.
TOKENS = [1, 2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 160, 192, 256, 384, 512, 768, 1024, 2048, 4096]
TOKENS += [8192]
BATCHES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
CONTEXTS = [1, 64, 128, 256, 512, 1024, 2048, 4096, 8192]
PROMPTS = [1, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192]
Times = dict[str, float]
Engine = tuple[InferenceSession, Any, Any]  # session, model, database


def main() -> None:
    """Write one table for each node type into the folder given as the only argument."""
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    folder = Path(sys.argv[1])
    for hardware in TRTLLM:
        table = baked(hardware)
        lines = json.dumps(table).replace('"llama', '\n    "llama').replace('}, "', '},\n  "')
        (folder / f"{hardware}.json").write_text(lines + "\n")
        print(hardware, len(table["matrices"]), "engines")


def baked(hardware: str) -> dict[str, Any]:
    """Every engine of one node type, with where the numbers come from."""
    precisions = {
        name: mode
        for name, mode in PRECISIONS.items()
        if not (name == "fp8" and hardware == WITHOUT_FP8)
    }
    matrices, layers, attention = {}, {}, {}
    for model, path in MODELS.items():
        for tp in TPS:
            for precision, mode in precisions.items():
                engine = engine_of(hardware, path, tp, mode, "float16")
                matrices[f"{model}/{precision}/tp{tp}"] = matrices_of(engine, hardware, mode)
                if precision == "fp16":
                    layers[f"{model}/tp{tp}"] = layers_of(engine)
                if precision in KV_PRECISIONS:
                    kv_mode = KV_PRECISIONS[precision]
                    engine = engine_of(hardware, path, tp, "float16", kv_mode)
                    key = f"{model}/{precision}/tp{tp}"
                    attention[key] = attention_of(engine, hardware, kv_mode)
    return {
        "about": "Kernel times of TensorRT-LLM in milliseconds before any correction for serving. "
        "matrices: products by tokens, without the output head; int8 is weight-only. layers: "
        "all-reduces and element-wise kernels by tokens, the output head by sequences. "
        "attention: by the precision of the KV cache. origin: how many of the numbers were "
        "measured by NVIDIA, lie between measured sizes, or beyond them; element-wise kernels are "
        "their bytes over 0.8 of the memory's bandwidth",
        "source": f"aiconfigurator {version('aiconfigurator')}, {hardware}, "
        f"trtllm {TRTLLM[hardware]}, Llama 3.1 shapes; written by er/simulation/bake.py",
        "licence": "Apache-2.0, Copyright (c) 2025-2026 NVIDIA CORPORATION & AFFILIATES",
        "tokens": TOKENS,
        "batches": BATCHES,
        "contexts": CONTEXTS,
        "prompts": PROMPTS,
        "ridge_tokens": {name: ridge(hardware, mode) for name, mode in precisions.items()},
        "matrices": matrices,
        "layers": layers,
        "attention": attention,
    }


def engine_of(hardware: str, path: str, tp: int, mode: str, kv_mode: str) -> Engine:
    """What answers how long the kernels of one engine take."""
    settings = config.ModelConfig(
        tp_size=tp,
        gemm_quant_mode=common.GEMMQuantMode[mode],
        kvcache_quant_mode=common.KVCacheQuantMode[kv_mode],
        fmha_quant_mode=common.FMHAQuantMode[kv_mode],
    )
    database = get_database(hardware, "trtllm", TRTLLM[hardware])
    model = get_model(path, settings, "trtllm")
    return InferenceSession(model, database, get_backend("trtllm")), model, database


def prefill(engine: Engine, tokens: int) -> Times:
    """Times of a step that prefills one prompt."""
    request = config.RuntimeConfig(batch_size=1, beam_width=1, isl=tokens, osl=1)
    times: Times = engine[0].run_static(request, mode="static_ctx").get_context_latency_dict()
    return times


def decode(engine: Engine, batch: int, context: int) -> Times:
    """Times of a step in which a batch decodes."""
    request = config.RuntimeConfig(batch_size=batch, beam_width=1, isl=context - 1, osl=2)
    times: Times = engine[0].run_static(request, mode="static_gen").get_generation_latency_dict()
    return times


def total(times: Times, *endings: str) -> float:
    """Sum of the kernels whose names end in one of these, in milliseconds."""
    return round(sum(ms for name, ms in times.items() if name.endswith(endings)), 4)


def matrices_of(engine: Engine, hardware: str, mode: str) -> dict[str, Any]:
    """Matrix products of all layers, by tokens."""
    products = [op for op in engine[1].context_ops if op._name.endswith("_gemm")]
    shapes = [(op._n, op._k) for op in products if "logits" not in op._name]
    kept = measured(hardware, "gemm", "gemm_dtype", TABLED.get(mode, mode), ("n", "k", "m"))
    times = [prefill(engine, tokens) for tokens in TOKENS]
    return {
        "ms": [total(at, "_gemm") - total(at, "_logits_gemm") for at in times],
        "origin": counted(origin((*shape, m), kept) for m in TOKENS for shape in shapes),
    }


def layers_of(engine: Engine) -> dict[str, Any]:
    """What does not depend on a precision."""
    times = [prefill(engine, tokens) for tokens in TOKENS]
    return {
        "all_reduce": [total(at, "_ar", "_ar_1", "_ar_2") for at in times],
        "elementwise": [total(at, "_embedding", "_norm_1", "_norm_2", "_act_gate") for at in times],
        "output_head": [total(decode(engine, batch, 64), "_logits_gemm") for batch in BATCHES],
    }


def attention_of(engine: Engine, hardware: str, mode: str) -> dict[str, Any]:
    """Attention of decoding requests by batch and context, and within a prompt by its tokens."""
    [op] = [op for op in engine[1].context_ops if op._name == "context_attention"]
    heads = (op._n, op._n_kv, 128)
    names = ("num_heads", "num_key_value_heads", "head_dim", "batch_size", "isl", "step")
    decoded = {
        (*at[:4], at[4] + at[5])
        for at in measured(hardware, "generation_attention", "kv_cache_dtype", mode, names)
    }
    prompts = {
        (*at[:3], at[4])
        for at in measured(hardware, "context_attention", "kv_cache_dtype", mode, names)
        if at[3] == 1
    }
    origins = [
        *(origin((*heads, batch, context), decoded) for batch in BATCHES for context in CONTEXTS),
        *(origin((*heads, tokens), prompts) for tokens in PROMPTS),
    ]
    return {
        "decode": [
            [total(decode(engine, batch, context), "_attention") for context in CONTEXTS]
            for batch in BATCHES
        ],
        "prefill": [total(prefill(engine, tokens), "_attention") for tokens in PROMPTS],
        "origin": counted(origins),
    }


def measured(
    hardware: str, kernel: str, column: str, value: str, names: tuple[str, ...]
) -> set[tuple[int, ...]]:
    """The sizes at which NVIDIA measured a kernel in one precision."""
    folder = Path(aiconfigurator.__file__).parent / "systems" / "data" / hardware / "trtllm"
    with (folder / TRTLLM[hardware] / f"{kernel}_perf.txt").open() as file:
        rows = [row for row in csv.DictReader(file) if row[column] == value]
    return {tuple(int(row[name]) for name in names) for row in rows}


def origin(size: tuple[int, ...], known: set[tuple[int, ...]]) -> str:
    """How the time at a size follows from those that were measured: between them in every
    dimension, or beyond them in one, all others being within what was measured."""
    if size in known:
        return "measured"
    *others, last = size
    beside = [at for at in known if all(a >= b for a, b in zip(at, others, strict=False))]
    within = min(at[-1] for at in known) <= last <= max((at[-1] for at in beside), default=0)
    return "interpolated" if within else "extrapolated"


def counted(origins: Iterable[str]) -> dict[str, int]:
    """How many numbers have each origin."""
    found = list(origins)
    return {name: found.count(name) for name in ("measured", "interpolated", "extrapolated")}


def ridge(hardware: str, mode: str) -> int:
    """From how many tokens on a matrix product takes longer to compute than its weights to read,
    at the peak rates of the data sheet."""
    quantisation = common.GEMMQuantMode[mode]
    database = get_database(hardware, "trtllm", TRTLLM[hardware])
    operations_per_s = database._get_quant_tc_flops(quantisation)
    bytes_per_s = database.system_spec["gpu"]["mem_bw"]
    tokens: int = round(operations_per_s * quantisation.value.memory / (2 * bytes_per_s))
    return tokens


if __name__ == "__main__":
    main()
