"""The published runs, simulated.

[unknown] Batch limits: max_batch_size 2048 and max_num_tokens 8192 are TensorRT-LLM's own defaults;
offline runs use 0.95 of the free memory, as their instructions say.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from er.config import Hardware, Model, Precision, SimulatedEngine
from er.simulation.deployment import VirtualDeployment
from er.simulation.published import (
    AT_ONCE,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    SHARES,
    VARIABLE,
    Offline,
    Serving,
)
from er.simulation.spec import EngineSpec

Ints = NDArray[np.int64]
REQUESTS = 500  # of a serving run
SEEDS = range(5)  # the published arrivals and lengths are one unknown sample


@dataclass(frozen=True)
class Study:
    """What a published row names: the default engine, with its correction, models, node types."""

    base: EngineSpec
    models: dict[str, Model]
    hardware: dict[str, Hardware]

    def deployment(self, row: Serving | Offline, engine: SimulatedEngine) -> VirtualDeployment:
        """The engine that a row was measured on."""
        spec = replace(
            self.base,
            model=self.models[row.model],
            precision=Precision.fp16,
            tp=row.tp,
            hardware=self.hardware[row.hardware],
            engine=engine,
        )
        return VirtualDeployment(spec, 1)


def simulated_serving(row: Serving, study: Study) -> Serving:
    """The row as simulated: means over several samples of arrivals, and of lengths that vary."""
    varies = row.lengths == VARIABLE
    engine = replace(
        study.base.engine,
        max_batch_size=REQUESTS if row.requests_per_s > 2 else 64,  # never reached
        max_num_tokens=8192,
        max_seq_len=2048 if varies else 1024,
    )
    deployment = study.deployment(row, engine)
    points = []
    for seed in SEEDS if varies or row.requests_per_s < AT_ONCE else [0]:
        random = np.random.default_rng(seed)
        tokens = lengths(row, random)
        loop = deployment.loop(REQUESTS, start_s=arrivals_s(row, random), once=True)
        prompts = deployment.prompts(*tokens, np.zeros(REQUESTS, np.int64))
        points.append(deployment.play(prompts, loop).point(REQUESTS, routed=False))
    return replace(
        row,
        ttft_ms=1e3 * float(np.mean([point.ttft_s.mean for point in points])),
        itl_ms=1e3 * float(np.mean([point.itl_s.mean for point in points])),
        tokens_per_s=float(np.mean([point.tokens_per_s for point in points])),
    )


def arrivals_s(row: Serving, random: np.random.Generator) -> NDArray[np.float64]:
    """When each request arrives."""
    if row.requests_per_s == AT_ONCE:
        return np.zeros(REQUESTS)
    gaps_s = random.exponential(1 / row.requests_per_s, REQUESTS)
    start_s: NDArray[np.float64] = np.cumsum(gaps_s) - gaps_s[0]
    return start_s


def lengths(row: Serving, random: np.random.Generator) -> tuple[Ints, Ints]:
    """Tokens in and out of each request; of those that vary, each 500th part of all once."""
    if row.lengths != VARIABLE:
        return np.full(REQUESTS, row.input_tokens), np.full(REQUESTS, row.output_tokens)
    shares = (np.arange(REQUESTS) + 0.5) / REQUESTS
    input_tokens, output_tokens = (
        np.rint(np.interp(random.permutation(shares), SHARES, tokens)).astype(np.int64)
        for tokens in (INPUT_TOKENS, OUTPUT_TOKENS)
    )
    return input_tokens, output_tokens


def simulated_offline(row: Offline, study: Study) -> Offline:
    """The row as simulated."""
    engine = replace(
        study.base.engine,
        max_batch_size=2048,
        max_num_tokens=8192,
        max_seq_len=row.input_tokens + row.output_tokens,
        kv_cache_free_gpu_mem_fraction=0.95,
    )
    deployment = study.deployment(row, engine)
    tokens = (np.full(row.requests, row.input_tokens), np.full(row.requests, row.output_tokens))
    prompts = deployment.prompts(*tokens, np.zeros(row.requests, np.int64))
    outcome = deployment.play(prompts, deployment.loop(row.requests, once=True))
    return replace(row, tokens_per_s=outcome.point(row.requests, routed=False).tokens_per_s)
