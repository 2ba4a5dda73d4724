"""The batch limits that `trtllm-bench build --dataset` gives an engine.

NVIDIA's performance overview says that its runs at maximum throughput were built so. The arithmetic
is that of TensorRT-LLM 0.15 to 0.17 (tensorrt_llm/bench/build/tuning.py): as many requests as its
own estimate of the KV cache holds, and as many tokens as keep these supplied, rounded up.
"""

import math
from typing import NamedTuple

from er.config import Hardware, Model, Precision
from er.simulation.memory import WEIGHT_BYTES

GIB = 2**30
CONTEXT_BYTES = 791 * 2**20  # that `Hardware.memory_bytes` leaves out; this estimate does not
KV_CACHE_FRACTION = 0.95
MOST_REQUESTS, MOST_TOKENS = 4096, 32768
LEAST_REQUESTS, LEAST_TOKENS = 64, 2048


class BatchLimits(NamedTuple):
    """Of one iteration."""

    max_batch_size: int
    max_num_tokens: int


def bench_limits(
    model: Model, hardware: Hardware, tp: int, precision: Precision, lengths: tuple[int, int]
) -> BatchLimits:
    """Limits of an engine built for requests of these tokens in and out.

    As there, weights count in units of 10^9 bytes and memory in GiB. Memory is what CUDA shows;
    NVML, which it asks, shows about 0.5 GiB more.
    """
    element_bytes = WEIGHT_BYTES[precision]
    memory = tp * (hardware.memory_bytes + CONTEXT_BYTES) / GIB
    free = KV_CACHE_FRACTION * (memory - model.parameters * element_bytes / 1e9)
    heads = max(tp, model.kv_heads)
    of_a_token = 2 * model.layers * heads * model.head_dim * element_bytes / GIB
    input_tokens, output_tokens = lengths
    requests = min(free / of_a_token / (input_tokens + output_tokens), MOST_REQUESTS)
    tokens = min(requests * (1 + input_tokens / output_tokens), MOST_TOKENS)
    return BatchLimits(rounded_requests(requests), rounded_tokens(tokens))


def rounded_requests(requests: float) -> int:
    """Up to a multiple that grows with it."""
    step = 32 if requests < 256 else 128 if requests < 1024 else 256
    return max(LEAST_REQUESTS, step * math.ceil(requests / step))


def rounded_tokens(tokens: float) -> int:
    """Up to a multiple that grows with it."""
    step = 256 if tokens < 4096 else 512 if tokens < 8192 else 1024
    return max(LEAST_TOKENS, step * math.ceil(tokens / step))
