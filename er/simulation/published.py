"""Measurements published by NVIDIA for H100 SXM, and the same quantities simulated.

Serving: Triton with TensorRT-LLM, BF16, 500 requests of 467 tokens in and 256 out, arriving as a
Poisson process or all at once. Offline: maximum throughput of TensorRT-LLM 0.15, FP16, lengths
fixed. Batch limits are not published: max_batch_size 2048 and max_num_tokens 8192 are
TensorRT-LLM's own defaults; offline runs use 0.95 of the free memory, as their instructions say.
"""

from dataclasses import dataclass, replace

import numpy as np

from er.config import Model, Precision, SimulatedEngine
from er.simulation.deployment import VirtualDeployment
from er.simulation.spec import EngineSpec

REQUESTS = 500
SERVING_TOKENS = (467, 256)
SEEDS = range(5)  # the published arrivals are one unknown sample
AT_ONCE = float("inf")


@dataclass(frozen=True)
class Serving:
    """One published serving run."""

    model: str
    tp: int
    requests_per_s: float
    fitted: bool  # whether the correction in conf/engine/simulated.yaml was fitted on it
    ttft_s: float
    itl_s: float
    tokens_per_s: float

    @property
    def name(self) -> str:
        """How the tables call it."""
        rate = "all at once" if self.requests_per_s == AT_ONCE else f"{self.requests_per_s:g}/s"
        return f"{self.model} TP{self.tp} serving {rate}"


@dataclass(frozen=True)
class Offline:
    """One published run at maximum throughput."""

    model: str
    tp: int
    input_tokens: int
    output_tokens: int
    requests: int
    tokens_per_s: float

    @property
    def name(self) -> str:
        """How the tables call it."""
        return f"{self.model} TP{self.tp} offline {self.input_tokens}/{self.output_tokens}"


SERVING = [
    Serving("llama3_70b", 4, 2, True, 0.062, 0.021, 498),
    Serving("llama3_8b", 1, 2, True, 0.023, 0.008, 504),
    Serving("llama3_8b", 1, 8, False, 0.026, 0.009, 1959),
    Serving("llama3_70b", 4, 16, False, 0.175, 0.066, 3164),
    Serving("llama3_70b", 4, AT_ONCE, False, 9.123, 0.085, 4103),
]
OFFLINE = [
    Offline("llama3_8b", 1, 128, 128, 30_000, 16_117),
    Offline("llama3_8b", 1, 128, 2048, 3_000, 9_894),
    Offline("llama3_8b", 1, 1000, 1000, 3_000, 7_721),
    Offline("llama3_70b", 4, 128, 128, 30_000, 6_393),
    Offline("llama3_70b", 4, 1000, 1000, 3_000, 4_076),
    Offline("llama3_70b", 8, 128, 2048, 3_000, 10_252),
]


def spec_of_row(
    row: Serving | Offline, base: EngineSpec, engine: SimulatedEngine, models: dict[str, Model]
) -> EngineSpec:
    """The engine that a row was measured on."""
    return replace(
        base, model=models[row.model], precision=Precision.fp16, tp=row.tp, engine=engine
    )


def simulated_serving(row: Serving, base: EngineSpec, models: dict[str, Model]) -> Serving:
    """The row as simulated with the correction of `base`: means over several arrival samples."""
    engine = replace(
        base.engine,
        max_batch_size=REQUESTS if row.requests_per_s > 2 else 64,  # never reached
        max_num_tokens=8192,
        max_seq_len=1024,
    )
    deployment = VirtualDeployment(spec_of_row(row, base, engine, models), 1)
    input_tokens, output_tokens = (np.full(REQUESTS, tokens) for tokens in SERVING_TOKENS)
    prompts = deployment.prompts(input_tokens, output_tokens, np.zeros(REQUESTS, np.int64))
    points = []
    for seed in SEEDS if row.requests_per_s < AT_ONCE else [0]:
        gaps_s = np.random.default_rng(seed).exponential(1 / row.requests_per_s, REQUESTS)
        start_s = np.cumsum(gaps_s) - gaps_s[0]
        outcome = deployment.play(prompts, deployment.loop(REQUESTS, start_s=start_s, once=True))
        points.append(outcome.point(REQUESTS, routed=False))
    return replace(
        row,
        ttft_s=float(np.mean([point.ttft_s.mean for point in points])),
        itl_s=float(np.mean([point.itl_s.mean for point in points])),
        tokens_per_s=float(np.mean([point.tokens_per_s for point in points])),
    )


def simulated_offline(row: Offline, base: EngineSpec, models: dict[str, Model]) -> Offline:
    """The row as simulated with the correction of `base`."""
    engine = replace(
        base.engine,
        max_batch_size=2048,
        max_num_tokens=8192,
        max_seq_len=row.input_tokens + row.output_tokens,
        kv_cache_free_gpu_mem_fraction=0.95,
    )
    deployment = VirtualDeployment(spec_of_row(row, base, engine, models), 1)
    lengths = (np.full(row.requests, row.input_tokens), np.full(row.requests, row.output_tokens))
    prompts = deployment.prompts(*lengths, np.zeros(row.requests, np.int64))
    outcome = deployment.play(prompts, deployment.loop(row.requests, once=True))
    return replace(row, tokens_per_s=outcome.point(row.requests, routed=False).tokens_per_s)
