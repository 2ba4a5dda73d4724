"""The schema of TensorRT-LLM engines: `engine=trtllm`, `engine=llmapi` and their variants."""

import re
from dataclasses import dataclass
from enum import Enum

from er.config.checks import require, require_positive
from er.config.deployment import Precision
from er.config.engine import Correction, Engine, require_kind


class Runtime(Enum):
    """What starts the container on a node; `bare` when er itself runs inside it."""

    bare = "bare"
    docker = "docker"
    apptainer = "apptainer"
    pyxis = "pyxis"  # Enroot under Slurm


class Quantization(Enum):
    """How weights and activations are quantised when a checkpoint is converted, or by what rule."""

    fp16 = "fp16"
    bf16 = "bf16"
    int8_weight_only = "int8_weight_only"
    int8_smoothquant = "int8_smoothquant"
    fp8 = "fp8"
    by_deployment = "by_deployment"  # fp16, or int8_weight_only for an INT8 deployment
    fp8_for_int8 = "fp8_for_int8"  # fp16, or fp8 for an INT8 deployment


class KvCacheType(Enum):
    """How the KV cache lies in memory; only `paged` batches in flight."""

    paged = "paged"
    continuous = "continuous"


@dataclass
class Container:
    """The image that holds TensorRT-LLM and its Triton."""

    runtime: Runtime
    image: str  # Docker: registry name; Apptainer: also a .sif file; Pyxis: also a .sqsh file
    digest: str  # sha256:... of the image; part of every engine's key
    cpus_per_gpu: int  # CPUs of a step of Slurm for each GPU; elsewhere all are shared
    mpi: str  # value of srun --mpi= for programs that use MPI; Pyxis only
    mounts: list[str]  # folders that the container sees in addition to those it needs

    def __post_init__(self) -> None:
        require_positive(self, "engine.container", "cpus_per_gpu")
        require(
            re.fullmatch(r"\w+", self.mpi) is not None,
            f"engine.container.mpi is '{self.mpi}': give a name that srun --mpi=list shows",
        )
        for folder in self.mounts:
            require(
                re.fullmatch(r"/[^:,\s]*", folder) is not None,
                f"engine.container.mounts has '{folder}': give a path from / on, without : and ,",
            )


@dataclass
class ContainerEngine(Engine):
    """Settings of both flows of TensorRT-LLM, which serve a local Hugging Face checkpoint."""

    version: str
    container: Container
    checkpoint: str  # directory of config.json, tokenizer and safetensors
    quantization: Quantization
    tritonserver: str  # inside the container
    model_code: str  # inside the container: the Python models of the Triton backend
    max_input_len: int
    max_seq_len: int
    max_num_tokens: int
    tokens_per_block: int
    kv_cache_free_gpu_mem_fraction: float
    activation_bytes: int  # per GPU, kept free of weights and KV cache
    correction: Correction  # of the prediction beside the measured points, as in engine=simulated

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(
            self,
            "engine",
            "max_input_len",
            "max_seq_len",
            "max_num_tokens",
            "tokens_per_block",
            "activation_bytes",
        )
        fraction = self.kv_cache_free_gpu_mem_fraction
        require(
            0 < fraction <= 1,
            f"engine.kv_cache_free_gpu_mem_fraction is {fraction}: give a share in (0, 1]",
        )
        require(
            self.max_input_len < self.max_seq_len,
            f"engine.max_input_len is {self.max_input_len}, engine.max_seq_len is "
            f"{self.max_seq_len}: max_seq_len holds the output too, so it must be more",
        )
        require(
            self.max_num_tokens >= self.max_batch_size,
            f"engine.max_num_tokens is {self.max_num_tokens}, engine.max_batch_size is "
            f"{self.max_batch_size}: a step needs one token for each sequence, so raise "
            "max_num_tokens",
        )
        require(
            self.tokens_per_block & (self.tokens_per_block - 1) == 0,
            f"engine.tokens_per_block is {self.tokens_per_block}: give a power of two",
        )


@dataclass
class TrtllmEngine(ContainerEngine):
    """The engine flow: an engine is built from the checkpoint, then served."""

    calibration: str  # directory of the data set that SmoothQuant calibrates on
    convert_script: str  # inside the container
    kv_cache_type: KvCacheType

    def __post_init__(self) -> None:
        super().__post_init__()
        require_kind(self, "trtllm")
        require(
            self.kv_cache_type is KvCacheType.paged,
            f"engine.kv_cache_type is {self.kv_cache_type.value}: in-flight batching needs paged",
        )


@dataclass
class LlmapiEngine(ContainerEngine):
    """The LLM-API flow, of TensorRT-LLM 1.0 and later: the checkpoint itself is served."""

    checkpoint_fp8: str  # used in place of `checkpoint` for fp8 weights

    def __post_init__(self) -> None:
        super().__post_init__()
        require_kind(self, "llmapi")


# Of the weights of a deployment, by its precision.
OF_DEPLOYMENT = {
    Precision.fp16: Quantization.fp16,
    Precision.int8: Quantization.int8_weight_only,
    Precision.fp8: Quantization.fp8,
}


def weights_of(engine: ContainerEngine, precision: Precision) -> Quantization:
    """How the weights of a deployment of `precision` are quantised."""
    match engine.quantization:
        case Quantization.by_deployment:
            return OF_DEPLOYMENT[precision]
        case Quantization.fp8_for_int8:
            return Quantization.fp16 if precision is Precision.fp16 else Quantization.fp8
    return engine.quantization
