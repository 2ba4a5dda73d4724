"""The schema of `engine`: settings of all kinds, and the kinds that need no GPU."""

from dataclasses import dataclass
from enum import Enum

from er.config.checks import require, require_positive
from er.config.deployment import Precision

LIMIT_AT_MOST = 1 << 22  # a table of step times has as many rows as these limits


@dataclass
class Engine:
    """Settings of every kind of engine."""

    kind: str
    max_batch_size: int

    def __post_init__(self) -> None:
        require_positive(self, "engine", "max_batch_size")


def require_kind(engine: Engine, kind: str) -> None:
    """Raise ConfigError unless the engine has the kind of its class."""
    require(engine.kind == kind, f"engine.kind is {engine.kind}: choose an engine with engine=...")


class SchedulerPolicy(Enum):
    """Which requests get KV-cache blocks (TensorRT-LLM's capacity scheduler).

    guaranteed_no_evict: those whose whole answer has room. max_utilization: as many as fit now;
    when room runs out, the last to start are paused, and prefilled again later.
    """

    guaranteed_no_evict = "guaranteed_no_evict"
    max_utilization = "max_utilization"


@dataclass
class Correction:
    """Factors and times that turn kernel times into a server's (er/simulation/cost.py)."""

    memory_scale: float  # for kernels bound by memory bandwidth
    compute_scale: float  # for kernels bound by arithmetic
    communication_scale: float  # for all-reduces of few tokens
    host_step_s: float  # in each iteration
    host_sequence_s: float  # in each iteration, for each request that decodes
    host_prompt_s: float  # in the iteration that prefills a prompt, or begins to
    host_request_s: float  # before a request can join a batch, while the engine continues

    def __post_init__(self) -> None:
        scales = ("memory_scale", "compute_scale", "communication_scale")
        require_positive(self, "engine.correction", *scales)
        times = ("host_step_s", "host_sequence_s", "host_prompt_s", "host_request_s")
        for name in (*scales, *times):
            value = getattr(self, name)
            require(
                0 <= value < float("inf"),
                f"engine.correction.{name} is {value}: give a number of 0 or more",
            )


@dataclass
class SimulatedEngine(Engine):
    """A TensorRT-LLM engine simulated in real time from a table of step times."""

    max_num_tokens: int
    max_seq_len: int
    tokens_per_block: int
    kv_cache_free_gpu_mem_fraction: float
    activation_bytes: int  # per GPU, kept free of weights and KV cache
    correction: Correction
    chunked_context: bool = False  # prefill long prompts over several iterations
    scheduler_policy: SchedulerPolicy = SchedulerPolicy.guaranteed_no_evict
    kv_cache_reuse: bool = False  # for whole blocks that prompts have in common
    kv_cache_precision: Precision = Precision.fp16

    def __post_init__(self) -> None:
        super().__post_init__()
        require_kind(self, "simulated")
        require_positive(self, "engine", "max_num_tokens", "max_seq_len", "tokens_per_block")
        for name in ("max_batch_size", "max_num_tokens", "max_seq_len", "tokens_per_block"):
            value = getattr(self, name)
            require(
                value <= LIMIT_AT_MOST, f"engine.{name} is {value}: give {LIMIT_AT_MOST} at most"
            )
        fraction = self.kv_cache_free_gpu_mem_fraction
        require(
            0 < fraction <= 1,
            f"engine.kv_cache_free_gpu_mem_fraction is {fraction}: give a share in (0, 1]",
        )
        require(self.activation_bytes >= 0, "engine.activation_bytes cannot be negative")
        require(
            self.max_num_tokens >= self.max_batch_size,
            f"engine.max_num_tokens is {self.max_num_tokens}: max_batch_size {self.max_batch_size} "
            "requests that decode need a token each: give at least as many",
        )
        require(
            not self.chunked_context or self.max_num_tokens >= self.tokens_per_block,
            f"engine.max_num_tokens is {self.max_num_tokens}: with chunked_context give at least "
            f"tokens_per_block {self.tokens_per_block}, the least chunk",
        )


@dataclass
class SmolLM2Engine(Engine):
    """SmolLM2-135M-Instruct, run by llama.cpp on the CPU."""

    max_seq_len: int
    threads: int

    def __post_init__(self) -> None:
        super().__post_init__()
        require_kind(self, "smollm2")
        require_positive(self, "engine", "max_seq_len", "threads")
