"""`python3 tests/gpu/measure_kernels.py OUT.json`: kernels of Llama 3's layers, by PyTorch alone.

For a machine with a GPU and PyTorch but no TensorRT-LLM: times of the matrix products (FP16, and
weight-only INT8 where this PyTorch has a kernel) and of attention within a prompt, at the sizes of
a step with prompts. Beside each stands the time that predictions start from, before their
correction (er/simulation/data). Writes machine, date and figures; needs nothing of er's.

`--device=cpu --models=llama3_8b --tp=8 --tokens=32 --repeats=1` shows that it runs.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn import functional

TABLES = Path(__file__).parents[2] / "er/simulation/data"
HARDWARE = {"H100": "h100_sxm", "H200": "h200_sxm", "A100": "a100_sxm"}  # by CUDA's names
COLD_BYTES = 256e6  # of weights that are used in turn: more than a cache holds
LAUNCHES = 10  # timed together: one alone would be timed with its launch
WARM_UP = 3
HEAD = 128
TOKENS = [256, 512, 1024, 2048, 4096, 8192]


class Llama(NamedTuple):
    """Shape of a model, from the config.json of its checkpoint."""

    layers: int
    heads: int
    kv_heads: int
    inner: int  # width of the feed-forward part


MODELS = {"llama3_8b": Llama(32, 32, 8, 14336), "llama3_70b": Llama(80, 64, 8, 28672)}


def main(words: list[str]) -> None:
    """Measure, print and write."""
    given = parsed(words)
    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit("measure_kernels: PyTorch finds no GPU: run it on a GPU node, or --device=cpu")
    device = machine(given.device)
    table = table_of(device["device"])
    rows = []
    for row in measured(given, table):
        rows.append(row)
        print(*row.values(), flush=True)
    result = {
        "machine": device,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "arguments": words,
        "table": table.get("source", ""),
        "rows": rows,
    }
    given.out.write_text(json.dumps(result, indent=1) + "\n")


def measured(given: argparse.Namespace, table: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Times in milliseconds of all layers together, one row for each kind and size."""
    for name, tp, tokens in product(given.models, given.tp, given.tokens):
        model = MODELS[name]
        for precision in ("fp16", "int8"):
            key = f"{name}/{precision}/tp{tp}"
            kept = table.get("matrices", {}).get(key, {}).get("ms", [])
            run = partial(products_s, model, tp, tokens, precision, given)
            row = {"what": "products", "of": key, "tokens": tokens}
            yield row | timed(run, model) | beside(kept, table.get("tokens", []), tokens)
        key = f"{name}/fp16/tp{tp}"
        kept = table.get("attention", {}).get(key, {}).get("prefill", [])
        run = partial(attention_s, model, tp, tokens, given)
        row = {"what": "attention", "of": key, "tokens": tokens}
        yield row | timed(run, model) | beside(kept, table.get("prompts", []), tokens)


def timed(run: Callable[[], float], model: Llama) -> dict[str, Any]:
    """The time of all layers, or why there is none."""
    try:
        return {"ms": round(1e3 * model.layers * run(), 4)}
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        return {"ms": None, "missing": str(error).splitlines()[0]}  # no such kernel, or no room


def beside(kept: list[float], sizes: list[int], tokens: int) -> dict[str, Any]:
    """The table's time where it has this engine and size."""
    return {"table_ms": kept[sizes.index(tokens)] if kept and tokens in sizes else None}


def products_s(
    model: Llama, tp: int, tokens: int, precision: str, given: argparse.Namespace
) -> float:
    """Time of the matrix products of one layer on one of `tp` GPUs."""
    hidden, inner = model.heads * HEAD, model.inner // tp
    attention = model.heads // tp * HEAD
    qkv = attention + 2 * max(model.kv_heads // tp, 1) * HEAD
    shapes = [(qkv, hidden), (hidden, attention), (2 * inner, hidden), (hidden, inner)]
    one = fp16_s if precision == "fp16" else int8_s
    return sum(one(outputs, inputs, tokens, given) for outputs, inputs in shapes)


def fp16_s(outputs: int, inputs: int, tokens: int, given: argparse.Namespace) -> float:
    """Time of one product in FP16."""
    x = torch.randn(tokens, inputs, device=given.device).half()
    weights = [
        torch.randn(outputs, inputs, device=given.device).half()
        for _ in range(copies(2 * outputs * inputs, given))
    ]
    return median_s(lambda i: functional.linear(x, weights[i % len(weights)]), given)


def int8_s(outputs: int, inputs: int, tokens: int, given: argparse.Namespace) -> float:
    """Time of one product with weights in INT8, activations in 16 bits."""
    x = torch.randn(tokens, inputs, device=given.device).bfloat16()
    scales = torch.rand(outputs, device=given.device).bfloat16()
    weights = [
        torch.randint(-127, 128, (outputs, inputs), device=given.device, dtype=torch.int8)
        for _ in range(copies(outputs * inputs, given))
    ]
    return median_s(
        lambda i: torch._weight_int8pack_mm(x, weights[i % len(weights)], scales), given
    )


def attention_s(model: Llama, tp: int, tokens: int, given: argparse.Namespace) -> float:
    """Time of causal attention within one prompt, in one layer; KV heads are repeated first."""
    shape = (1, model.heads // tp, tokens, HEAD)
    query, key, value = (torch.randn(shape, device=given.device).half() for _ in range(3))
    attend = functional.scaled_dot_product_attention
    return median_s(lambda _: attend(query, key, value, is_causal=True), given)


def copies(size_bytes: int, given: argparse.Namespace) -> int:
    """Weights to use in turn, so that none is in a cache."""
    return 1 + int(COLD_BYTES // size_bytes) if given.device == "cuda" else 1


def median_s(run: Callable[[int], object], given: argparse.Namespace) -> float:
    """Median time of one launch of `run(i)`, for i = 0, 1, ..."""
    for i in range(WARM_UP):
        run(i)
    numbers = iter(range(WARM_UP, WARM_UP + given.repeats * LAUNCHES))
    times_s = []
    for _ in range(given.repeats):
        if given.device != "cuda":
            begin_s = time.perf_counter()
            for _ in range(LAUNCHES):
                run(next(numbers))
            times_s.append(time.perf_counter() - begin_s)
            continue
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        begin.record()
        for _ in range(LAUNCHES):
            run(next(numbers))
        end.record()
        torch.cuda.synchronize()
        times_s.append(begin.elapsed_time(end) / 1e3)
    return statistics.median(times_s) / LAUNCHES


def machine(device: str) -> dict[str, Any]:
    """What the times are of."""
    known = {"device": device, "pytorch": torch.__version__, "cuda": torch.version.cuda}
    if device == "cuda":
        gpu = torch.cuda.get_device_properties(0)
        known |= {"device": gpu.name, "memory_bytes": gpu.total_memory}
    return known


def table_of(device: str) -> dict[str, Any]:
    """Kernel times of this kind of GPU; empty where there are none."""
    names = [name for part, name in HARDWARE.items() if part in device]
    return dict(json.loads((TABLES / f"{names[0]}.json").read_text())) if names else {}


def parsed(words: list[str]) -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(prog="measure_kernels")
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--tp", nargs="+", type=int, default=[1, 4, 8])
    parser.add_argument("--tokens", nargs="+", type=int, default=TOKENS)
    parser.add_argument("--repeats", type=int, default=20)
    return parser.parse_args(words)


if __name__ == "__main__":
    main(sys.argv[1:])
