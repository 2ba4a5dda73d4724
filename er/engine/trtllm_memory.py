"""The memory of one GPU under TensorRT-LLM, in either flow: weights, activations, KV cache."""

from dataclasses import dataclass

from er.config import Config
from er.config.trtllm import ContainerEngine
from er.errors import ConfigError
from er.simulation.memory import gpu_weight_bytes, kv_bytes_per_token, weight_bytes

BUILD_DISK_SHARE = 2.2  # of the weights: the converted checkpoint, the engine, a tenth to spare
# Copies of the weights on the host while TensorRT builds: the network's and the engine's (at least
# these two: its documentation, How TensorRT Works, The Build Phase), and the serialised engine.
BUILD_HOST_COPIES = 3
BUILDER_HOST_BYTES = 4_000_000_000  # of each: 3.4 GB in a log (NVIDIA/TensorRT-LLM, issue 2451)
BATCH_TOKENS = 512  # tokens of one sequence for which the largest batch is predicted


@dataclass(frozen=True)
class Memory:
    """Bytes of one GPU, and what fits."""

    gpu_bytes: int
    weight_bytes: int
    activation_bytes: int  # an allowance, not computed
    kv_bytes_per_token: int
    kv_tokens: int  # of whole blocks in the engine's share of the remaining memory
    engine_disk_bytes: int  # of all ranks; mostly weights
    ranks: int

    @property
    def build_disk_bytes(self) -> int:
        """Peak disk space of a build: the converted checkpoint and the engine."""
        return int(BUILD_DISK_SHARE * self.engine_disk_bytes)

    @property
    def build_host_bytes(self) -> int:
        """Estimated peak of host memory in a build, which builds all ranks at once.

        The conversion needs less: each of its workers holds its rank once.
        """
        return BUILD_HOST_COPIES * self.engine_disk_bytes + self.ranks * BUILDER_HOST_BYTES

    @property
    def largest_batch(self) -> int:
        """Number of sequences of 512 tokens that fit the KV cache."""
        return self.kv_tokens // BATCH_TOKENS


def of(config: Config, engine: ContainerEngine) -> Memory:
    """Memory of one engine of the deployment, with activations and KV cache in 16 bits.

    The KV cache gets TensorRT-LLM's kv_cache_free_gpu_mem_fraction of the memory that weights and
    activations leave. Raises ConfigError, with the arithmetic, when not even one sequence fits.
    """
    deployment, hardware = config.deployment, config.hardware
    weights = weight_bytes(deployment.model, deployment.precision)
    on_one_gpu = gpu_weight_bytes(deployment.model, deployment.precision, deployment.tp)
    free = hardware.memory_bytes - on_one_gpu - engine.activation_bytes
    token_bytes = kv_bytes_per_token(deployment.model, deployment.tp)
    block_bytes = token_bytes * engine.tokens_per_block
    blocks = int(max(free, 0) * engine.kv_cache_free_gpu_mem_fraction) // block_bytes
    memory = Memory(
        hardware.memory_bytes,
        on_one_gpu,
        engine.activation_bytes,
        token_bytes,
        blocks * engine.tokens_per_block,
        weights,
        deployment.tp,
    )
    if memory.kv_tokens < engine.max_seq_len:
        raise ConfigError(
            f"{deployment.model.name} in {deployment.precision.value} at tp={deployment.tp} does "
            f"not fit {hardware.name}: {hardware.memory_bytes / 1e9:.1f} GB a GPU, less "
            f"{on_one_gpu / 1e9:.1f} GB of weights and {engine.activation_bytes / 1e9:.1f} GB of "
            f"activations, leave {free / 1e9:.1f} GB, room for {memory.kv_tokens} tokens of KV "
            f"cache where engine.max_seq_len needs {engine.max_seq_len}: raise deployment.tp or "
            "choose deployment.precision=int8"
        )
    return memory
