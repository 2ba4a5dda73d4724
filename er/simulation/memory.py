"""What fits into GPU memory: weights, activations and the paged KV cache."""

from er.config import Model, Precision
from er.errors import ConfigError
from er.simulation.spec import EngineSpec

ACTIVATION_BYTES = 2  # embeddings stay in 16 bits
WEIGHT_BYTES = {Precision.fp16: 2, Precision.int8: 1, Precision.fp8: 1}


def weight_bytes(model: Model, precision: Precision) -> int:
    """Bytes of all weights; INT8 and FP8 leave embedding and output head in 16 bits."""
    quantised = model.parameters - model.embedding_parameters
    return WEIGHT_BYTES[precision] * quantised + ACTIVATION_BYTES * model.embedding_parameters


def gpu_weight_bytes(model: Model, precision: Precision, tp: int) -> int:
    """Bytes of the weights on one GPU: every rank has the whole input embedding.

    TensorRT-LLM splits it with --use_parallel_embedding only, and the output head always.
    """
    whole = ACTIVATION_BYTES * (model.embedding_parameters // 2) if tp > 1 else 0
    return whole + -(-(weight_bytes(model, precision) - whole) // tp)


def kv_bytes_per_token(model: Model, tp: int, precision: Precision = Precision.fp16) -> int:
    """Bytes of keys and values of one token on one GPU: heads are split, never shared below one."""
    heads = -(-model.kv_heads // tp)
    return 2 * model.layers * heads * model.head_dim * WEIGHT_BYTES[precision]


def kv_blocks(spec: EngineSpec) -> int:
    """Blocks of the KV cache: the share of memory left by weights and activations, as
    TensorRT-LLM's kv_cache_free_gpu_mem_fraction takes it.

    Raises ConfigError when the weights leave no room.
    """
    hardware, engine = spec.hardware, spec.engine
    weights = gpu_weight_bytes(spec.model, spec.precision, spec.tp)
    free = hardware.memory_bytes - weights - engine.activation_bytes
    token_bytes = kv_bytes_per_token(spec.model, spec.tp, engine.kv_cache_precision)
    block_bytes = token_bytes * engine.tokens_per_block
    blocks = int(max(free, 0) * engine.kv_cache_free_gpu_mem_fraction) // block_bytes
    if blocks < 1:
        raise ConfigError(
            f"{spec.model.name} in {spec.precision.value} at tp={spec.tp} does not fit "
            f"{hardware.name}: {weights / 1e9:.1f} GB of weights and "
            f"{engine.activation_bytes / 1e9:.1f} GB of activations of "
            f"{hardware.memory_bytes / 1e9:.1f} GB a GPU leave no room for the KV cache: "
            "raise deployment.tp or choose deployment.precision=int8"
        )
    return blocks
