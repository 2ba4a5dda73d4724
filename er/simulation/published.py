"""What NVIDIA published of TensorRT-LLM in 16 bit on H100, H200 and A100 SXM.

`data/published_serving.csv`: Triton with TensorRT-LLM 0.14 in BF16, 500 requests that arrive as a
Poisson process, or all at once (`requests_per_s` inf). `data/published_offline.csv`: maximum
throughput of TensorRT-LLM 0.15 in FP16, lengths fixed. Both have every run of Llama 3.1 8B and 70B
in NVIDIA's performance overview (TensorRT-LLM, docs/source/performance/perf-overview.md) on these
GPUs, but for prompts of 20,000 tokens, which are longer than any that kernels were measured with.

[inferred] The lengths of 202 tokens in and 214 out vary: they are the means of the 500 ShareGPT
requests of vLLM's serving benchmark, the other two pairs those of its sonnets, which do not vary.
Their distribution is not published. `INPUT_TOKENS` and `OUTPUT_TOKENS` have the means and maxima
that Modular's benchmark prints for these 500 requests (201.8 and 213.0; 933 and 806), and their
shape from 100 other ShareGPT requests, in Llama 3's tokens, that LLMServingSim publishes.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

AT_ONCE = float("inf")
VARIABLE = (202, 214)  # tokens in and out, on average
FILE = Path(__file__).parent / "data" / "correction.json"  # that `er.simulation.calibrate` writes
FIT, HELD_OUT = "fit", "held_out"  # drawn by split.py with the seed in the files' first line
SHARES = (0.0, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)
INPUT_TOKENS = (4, 4, 8, 13, 15, 17, 30, 68, 168, 263, 294, 396, 583, 772, 933, 933, 933)
OUTPUT_TOKENS = (5, 22, 40, 81, 107, 114, 141, 179, 213, 257, 279, 324, 449, 565, 586, 604, 806)
MLPERF = (218, 293)
MLPERF_INPUT_TOKENS = (
    72, 84, 89, 103, 109, 113, 123, 144, 176, 230, 252, 298, 518, 613, 700, 760, 987,
)  # fmt: skip
MLPERF_OUTPUT_TOKENS = (
    8, 30, 52, 98, 121, 145, 193, 243, 298, 363, 406, 449, 599, 745, 910, 980, 1024,
)  # fmt: skip
SHAPES = {
    VARIABLE: (INPUT_TOKENS, OUTPUT_TOKENS),
    MLPERF: (MLPERF_INPUT_TOKENS, MLPERF_OUTPUT_TOKENS),
}


@dataclass(frozen=True)
class Serving:
    """One published serving run."""

    hardware: str
    model: str
    tp: int
    input_tokens: int
    output_tokens: int
    requests_per_s: float
    ttft_ms: float
    itl_ms: float
    tokens_per_s: float
    split: str  # FIT or HELD_OUT

    @property
    def name(self) -> str:
        """How the tables call it."""
        lengths = f"{self.input_tokens}/{self.output_tokens}"
        return f"{engine_name(self)} serving {lengths} {self.arrivals}"

    @property
    def arrivals(self) -> str:
        """How its requests come."""
        return "all at once" if self.requests_per_s == AT_ONCE else f"{self.requests_per_s:g}/s"

    @property
    def lengths(self) -> tuple[int, int]:
        """Tokens in and out; means where they vary."""
        return self.input_tokens, self.output_tokens


@dataclass(frozen=True)
class Offline:
    """One published run at maximum throughput."""

    hardware: str
    model: str
    tp: int
    input_tokens: int
    output_tokens: int
    requests: int
    tokens_per_s: float
    split: str  # FIT or HELD_OUT
    precision: str = "fp16"
    max_batch_size: int = 0  # 0: what trtllm-bench builds

    @property
    def lengths(self) -> tuple[int, int]:
        """Tokens in and out; means where they vary."""
        return self.input_tokens, self.output_tokens

    @property
    def name(self) -> str:
        """How the tables call it."""
        return f"{engine_name(self)} offline {self.input_tokens}/{self.output_tokens}"


def engine_name(row: Serving | Offline) -> str:
    """Model and node."""
    fp8 = " fp8" if isinstance(row, Offline) and row.precision == "fp8" else ""
    return f"{row.hardware} {row.model} TP{row.tp}{fp8}"


@cache
def serving() -> list[Serving]:
    """Every published serving run."""
    return [Serving(*row) for row in table("published_serving.csv").itertuples(index=False)]


@cache
def offline() -> list[Offline]:
    """Every published run at maximum throughput in 16 bits."""
    return [Offline(*row) for row in table("published_offline.csv").itertuples(index=False)]


@cache
def fp8() -> list[Offline]:
    """Those in FP8."""
    return [Offline(*row) for row in table("published_fp8.csv").itertuples(index=False)]


@cache
def fits() -> dict[str, Any]:
    """What `er.simulation.calibrate` found on the runs to fit on."""
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def table(name: str) -> pd.DataFrame:
    """One of the tables."""
    with (resources.files("er.simulation") / "data" / name).open() as file:
        return pd.read_csv(file, comment="#")
