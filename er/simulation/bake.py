"""Bakes NVIDIA's measured kernel times into the small tables of `er/simulation/data`.

Runs in an environment of its own, since the source needs other packages than this project:

    python -m venv aic && aic/bin/pip install aiconfigurator==0.8.0
    aic/bin/python er/simulation/bake.py er/simulation/data
"""

import json
import logging
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

TRTLLM = {"h100_sxm": "1.0.0rc3", "h200_sxm": "1.0.0rc3", "a100_sxm": "1.0.0"}
MODELS = {
    "llama3_8b": "meta-llama/Meta-Llama-3.1-8B",
    "llama3_70b": "meta-llama/Meta-Llama-3.1-70B",
}
PRECISIONS = {"fp16": "float16", "int8": "int8_wo"}
# The sizes at which matrix products were measured: between them the source itself is linear.
TOKENS = [1, 2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 160, 192, 256, 384, 512, 768, 1024, 2048, 4096]
TOKENS += [8192]
BATCHES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
CONTEXTS = [1, 64, 128, 256, 512, 1024, 2048, 4096, 8192]
PROMPTS = [1, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192]


def main() -> None:
    """Write one table for each node type into the folder given as the only argument."""
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    folder = Path(sys.argv[1])
    for hardware in TRTLLM:
        table = baked(hardware)
        lines = json.dumps(table).replace('"llama', '\n    "llama').replace('}, "', '},\n  "')
        (folder / f"{hardware}.json").write_text(lines + "\n")
        print(hardware, len(table["rows"]), "rows")


def baked(hardware: str) -> dict[str, Any]:
    """Every engine of one node type, with where the numbers come from."""
    return {
        "about": "Kernel times of TensorRT-LLM in milliseconds, measured by NVIDIA, before any "
        "correction for serving; int8 is weight-only INT8",
        "source": f"aiconfigurator {version('aiconfigurator')}, {hardware}, "
        f"trtllm {TRTLLM[hardware]}, Llama 3.1 shapes; written by er/simulation/bake.py",
        "licence": "Apache-2.0, Copyright (c) 2025-2026 NVIDIA CORPORATION & AFFILIATES",
        "tokens": TOKENS,
        "batches": BATCHES,
        "contexts": CONTEXTS,
        "prompts": PROMPTS,
        "rows": {
            f"{model}/{precision}/tp{tp}": row(hardware, path, quantisation, tp)
            for model, path in MODELS.items()
            for precision, quantisation in PRECISIONS.items()
            for tp in (1, 2, 4, 8)
        },
    }


def row(hardware: str, path: str, quantisation: str, tp: int) -> dict[str, Any]:
    """One engine: attention apart from everything that depends on the number of tokens only."""
    from aiconfigurator.sdk import common, config  # type: ignore[import-not-found]
    from aiconfigurator.sdk.backends.factory import get_backend  # type: ignore[import-not-found]
    from aiconfigurator.sdk.inference_session import (  # type: ignore[import-not-found]
        InferenceSession,
    )
    from aiconfigurator.sdk.models import get_model  # type: ignore[import-not-found]
    from aiconfigurator.sdk.perf_database import get_database  # type: ignore[import-not-found]

    settings = config.ModelConfig(
        tp_size=tp,
        gemm_quant_mode=common.GEMMQuantMode[quantisation],
        kvcache_quant_mode=common.KVCacheQuantMode.float16,
        fmha_quant_mode=common.FMHAQuantMode.float16,
    )
    database = get_database(hardware, "trtllm", TRTLLM[hardware])
    session = InferenceSession(get_model(path, settings, "trtllm"), database, get_backend("trtllm"))

    def prefill(tokens: int) -> dict[str, float]:
        asked = config.RuntimeConfig(batch_size=1, beam_width=1, isl=tokens, osl=1)
        times: dict[str, float] = session.run_static(
            asked, mode="static_ctx"
        ).get_context_latency_dict()
        return times

    def decode_attention(batch: int, context: int) -> float:
        asked = config.RuntimeConfig(batch_size=batch, beam_width=1, isl=context - 1, osl=2)
        times = session.run_static(asked, mode="static_gen").get_generation_latency_dict()
        return float(times["generation_attention"])

    def linear(tokens: int) -> float:
        times = prefill(tokens)
        return sum(times.values()) - times["context_attention"]

    return {
        "linear": [round(linear(tokens), 4) for tokens in TOKENS],
        "decode_attention": [
            [round(decode_attention(batch, context), 4) for context in CONTEXTS]
            for batch in BATCHES
        ],
        "prefill_attention": [round(prefill(tokens)["context_attention"], 4) for tokens in PROMPTS],
    }


if __name__ == "__main__":
    main()
