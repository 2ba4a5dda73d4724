"""What bounds the batch of one engine."""

from typing import NamedTuple

from er.config import SchedulerPolicy
from er.errors import ErError
from er.simulation.memory import kv_blocks
from er.simulation.spec import EngineSpec


class RequestError(ErError):
    """A request that this engine can never serve."""


class Limits(NamedTuple):
    """What bounds a batch."""

    max_batch_size: int
    max_num_tokens: int  # of one iteration: prompts and one for each decoding request
    max_seq_len: int  # prompt and output of one request
    tokens_per_block: int
    kv_blocks: int
    chunked_context: bool = False
    max_utilization: bool = False
    kv_cache_reuse: bool = False


def limits_of(spec: EngineSpec) -> Limits:
    """The limits of an engine. Raises ConfigError when the model does not fit its GPUs."""
    engine = spec.engine
    return Limits(
        engine.max_batch_size,
        engine.max_num_tokens,
        engine.max_seq_len,
        engine.tokens_per_block,
        kv_blocks(spec),
        engine.chunked_context,
        engine.scheduler_policy is SchedulerPolicy.max_utilization,
        engine.kv_cache_reuse,
    )
