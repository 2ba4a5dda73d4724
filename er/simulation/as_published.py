"""The published runs, simulated.

Runs at maximum throughput are built and driven as their instructions say: limits of
`bench_limits.py`, prompts in chunks (trtllm-bench's default), 0.95 of the free memory. Those of
MLPerf have 0.90 of it and the requests of NVIDIA's configuration. Engines that trtllm-bench built
in 16 bits for H100 keep more memory than their weights and activations, by a share of their weights
that was found on the half to fit on: ADR 20.

Runs behind Triton have the limits and the arrivals of vLLM's nightly benchmark, whose requests,
models, TP and rates they share. Its .buildkite/nightly-benchmarks/tests/nightly-tests.json builds
TensorRT-LLM with these limits, and its client draws gaps with NumPy's seed 0. [inferred] NVIDIA
does not name it: ADR 19. [unknown] Tokens a step in MLPerf's runs: TensorRT-LLM's default.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from er.config import Correction, Hardware, Model, Precision
from er.simulation.bench_limits import BatchLimits, bench_limits
from er.simulation.cost import NS_PER_S
from er.simulation.deployment import VirtualDeployment
from er.simulation.memory import gpu_weight_bytes, kv_blocks
from er.simulation.outcome import Outcome
from er.simulation.published import (
    AT_ONCE,
    SHAPES,
    SHARES,
    Offline,
    Serving,
)
from er.simulation.spec import EngineSpec
from er.simulation.tables import Prompts, Sent, Times

Ints = NDArray[np.int64]
REQUESTS = 500  # of a serving run
DEFAULT_SEQUENCES, DEFAULT_TOKENS = 2048, 8192
SERVING_TOKENS, SERVING_SEED = 16_384, 0  # of vLLM's nightly benchmark, with 2,048 requests
BENCH_KV_CACHE_FRACTION, MLPERF_KV_CACHE_FRACTION = 0.95, 0.90
# [inferred] of shapes: residuals and MLP of a token, logits of a sequence in 32 bits.
TOKEN_BYTES = 110_000
SEQUENCE_BYTES = 27 * 128_256
# Of the host's times only the engine's own: its loop, and in it those over the requests that decode
# (cpp/tensorrt_llm/runtime/gptDecoderBatched.cpp). No server takes prompts.
WITHOUT_SERVER = dict.fromkeys(("host_prompt_s", "host_request_s"), 0.0)
SEEDS = range(5)  # of lengths that vary: their order is one unknown sample


@dataclass(frozen=True)
class Study:
    """What a published row names: the default engine, with its correction, models, node types; and
    what is not known of the runs."""

    base: EngineSpec
    models: dict[str, Model]
    hardware: dict[str, Hardware]
    max_num_tokens: int = SERVING_TOKENS  # behind Triton
    further_bytes: int = 0  # of a GPU, that neither weights nor KV cache can have
    default_limits: bool = False  # at maximum throughput too
    kept_share: float = 0.0  # of the weights, that engines of `keeps_memory` keep besides

    def corrected(self, correction: Correction) -> "Study":
        """The same with another correction."""
        engine = replace(self.base.engine, correction=correction)
        return replace(self, base=replace(self.base, engine=engine))

    def spec(self, row: Serving | Offline, **further: Any) -> EngineSpec:
        """The engine that a row was measured on; FP8 engines keep their KV cache in FP8. At maximum
        throughput requests came from a program that drives the engine: no server takes time."""
        correction, precision = self.base.engine.correction, Precision.fp16
        limits = self.limits(row)
        if isinstance(row, Offline):
            precision = Precision(row.precision)
            correction = replace(correction, **WITHOUT_SERVER)
        model = self.models[row.model]
        kept = self.kept_share * gpu_weight_bytes(model, precision, row.tp) * keeps_memory(row)
        engine = replace(
            self.base.engine,
            max_batch_size=limits.max_batch_size,
            max_num_tokens=limits.max_num_tokens,
            activation_bytes=self.further_bytes
            + round(kept)
            + TOKEN_BYTES * limits.max_num_tokens
            + SEQUENCE_BYTES * limits.max_batch_size,
            kv_cache_precision=precision,
            correction=correction,
            **further,
        )
        return replace(
            self.base,
            model=model,
            precision=precision,
            tp=row.tp,
            hardware=self.hardware[row.hardware],
            engine=engine,
        )

    def limits(self, row: Serving | Offline) -> BatchLimits:
        """Those of its engine."""
        if isinstance(row, Serving):
            return BatchLimits(DEFAULT_SEQUENCES, self.max_num_tokens)
        if row.max_batch_size:
            return BatchLimits(row.max_batch_size, DEFAULT_TOKENS)
        if self.default_limits:
            return BatchLimits(DEFAULT_SEQUENCES, DEFAULT_TOKENS)
        model, hardware = self.models[row.model], self.hardware[row.hardware]
        return bench_limits(model, hardware, row.tp, Precision(row.precision), row.lengths)

    def deployment(self, row: Serving | Offline, at_once: int, **further: Any) -> VirtualDeployment:
        """That engine, with a batch no larger than it has room for and requests there are at once:
        less to tabulate."""
        spec = self.spec(row, **further)
        engine = spec.engine
        if row.lengths not in SHAPES:
            blocks = -(-sum(row.lengths) // engine.tokens_per_block)
            at_once = min(at_once, kv_blocks(spec) // blocks)
        most = max(min(engine.max_batch_size, at_once), 1)
        return VirtualDeployment(replace(spec, engine=replace(engine, max_batch_size=most)), 1)


def keeps_memory(row: Serving | Offline) -> bool:
    """Whether its engine is one that trtllm-bench 0.15 built in 16 bits for H100."""
    return isinstance(row, Offline) and (row.hardware, row.precision) == ("h100_sxm", "fp16")


def simulated_serving(row: Serving, study: Study) -> Serving:
    """The row as simulated: means over several orders of lengths that vary."""
    varies = row.lengths in SHAPES
    deployment = study.deployment(
        row,
        at_once=REQUESTS if row.requests_per_s > 2 else 64,  # never reached
        max_seq_len=2048 if varies else 1024,
    )
    points = []
    start_s = arrivals_s(row)
    for seed in SEEDS if varies else [0]:
        tokens = lengths(row, REQUESTS, np.random.default_rng(seed))
        loop = deployment.loop(REQUESTS, start_s=start_s, once=True)
        prompts = deployment.prompts(*tokens, np.zeros(REQUESTS, np.int64))
        outcome = deployment.play(prompts, loop)
        points.append((outcome.point(REQUESTS, routed=False), over_the_run(outcome)))
    return replace(
        row,
        ttft_ms=1e3 * float(np.mean([point.ttft_s.mean for point, _ in points])),
        itl_ms=1e3 * float(np.mean([point.itl_s.mean for point, _ in points])),
        tokens_per_s=float(np.mean([rate for _, rate in points])),
    )


def over_the_run(outcome: Outcome) -> float:
    """Tokens per second as NVIDIA has them: those of all requests over the run's duration."""
    output_tokens = outcome.prompts[outcome.sent[:, Sent.prompt], Prompts.output]
    times = outcome.times
    duration_ns = times[:, Times.end_ns].max() - times[:, Times.send_ns].min()
    return float(output_tokens.sum() / (duration_ns / NS_PER_S))


def arrivals_s(row: Serving) -> NDArray[np.float64]:
    """When each request arrives: vLLM's client draws a gap after each that it sends, and sleeps in
    asyncio, which waits in whole milliseconds, rounded up (epoll's; Python's `selectors`)."""
    if row.requests_per_s == AT_ONCE:
        return np.zeros(REQUESTS)
    random = np.random.RandomState(SERVING_SEED)  # the client's own generator
    gaps_s = random.exponential(1 / row.requests_per_s, REQUESTS - 1)
    return np.concatenate([[0.0], np.cumsum(np.ceil(1e3 * gaps_s) / 1e3)])


def lengths(row: Serving | Offline, count: int, random: np.random.Generator) -> tuple[Ints, Ints]:
    """Tokens in and out of each request; of those that vary, each part of all once."""
    if row.lengths not in SHAPES:
        return np.full(count, row.input_tokens), np.full(count, row.output_tokens)
    shares = (np.arange(count) + 0.5) / count
    input_tokens, output_tokens = (
        np.rint(np.interp(random.permutation(shares), SHARES, tokens)).astype(np.int64)
        for tokens in SHAPES[row.lengths]
    )
    return input_tokens, output_tokens


def simulated_offline(row: Offline, study: Study) -> Offline:
    """The row as simulated."""
    tokens = lengths(row, row.requests, np.random.default_rng(0))
    deployment = study.deployment(
        row,
        at_once=row.requests,
        max_seq_len=max(2048 if row.lengths in SHAPES else 0, row.input_tokens + row.output_tokens),
        kv_cache_free_gpu_mem_fraction=MLPERF_KV_CACHE_FRACTION
        if row.max_batch_size
        else BENCH_KV_CACHE_FRACTION,
        chunked_context=True,
    )
    prompts = deployment.prompts(*tokens, np.zeros(row.requests, np.int64))
    outcome = deployment.play(prompts, deployment.loop(row.requests, once=True))
    return replace(row, tokens_per_s=over_the_run(outcome))
