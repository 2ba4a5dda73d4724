"""TensorRT-LLM's LLM API: a checkpoint served as it is, without a build."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from er.config import Config
from er.config.trtllm import LlmapiEngine, Quantization, weights_of
from er.engine import checkpoint, llmapi_arguments, trtllm_memory
from er.engine.names import model_names
from er.engine.node import container_digest, gpu_name, require_tools
from er.engine.trtllm import check_weights
from er.engine.trtllm_memory import Memory
from er.errors import ConfigError, ErError
from er.results.request import ServedModel

DTYPE = {Quantization.fp16: "float16", Quantization.bf16: "bfloat16", Quantization.fp8: "auto"}
QUANTISED = "hf_quant_config.json"  # written by Model Optimizer beside the weights
READY_MAX_TOKENS = 4


@dataclass(frozen=True)
class LlmapiRequest:
    """The engine that a deployment needs from the LLM API; all its experts are alike."""

    config: Config
    engine: LlmapiEngine
    quantization: Quantization
    memory: Memory

    @property
    def checkpoint(self) -> Path:
        """The path of the checkpoint; absolute, since containers see it under the same path."""
        engine = self.engine
        fp8 = self.quantization is Quantization.fp8
        return Path(engine.checkpoint_fp8 if fp8 else engine.checkpoint).absolute()


def request_of(config: Config) -> LlmapiRequest:
    """The engine that a configuration describes.

    Raises ConfigError, with the reason, when such an engine is impossible.
    """
    engine, precision = config.engine, config.deployment.precision
    if not isinstance(engine, LlmapiEngine):
        raise ConfigError("engine.kind is llmapi: its settings must be engine=llmapi")
    quantization = weights_of(engine, precision)
    if quantization not in DTYPE:
        raise ConfigError(
            f"deployment.{config.deployment.id} is {precision.value} and engine.quantization "
            f"{quantization.value}: the LLM API's PyTorch runs FP8 and FP4 weights in place of "
            "INT8; choose engine=llmapi_fp8 with an FP8 checkpoint, or build it with engine=trtllm"
        )
    check_weights(config, quantization)
    request = LlmapiRequest(config, engine, quantization, trtllm_memory.of(config, engine))
    llmapi_arguments.check(engine.version, arguments(request))
    return request


def arguments(request: LlmapiRequest) -> dict[str, Any]:
    """Keyword arguments of `tensorrt_llm.LLM`, in the version's own names."""
    engine = request.engine
    return {
        "model": str(request.checkpoint),
        "backend": "pytorch",
        "dtype": DTYPE[request.quantization],
        "tensor_parallel_size": request.config.deployment.tp,
        "max_batch_size": engine.max_batch_size,
        "max_num_tokens": engine.max_num_tokens,
        "max_input_len": engine.max_input_len,
        "max_seq_len": engine.max_seq_len,
        "enable_chunked_prefill": False,
        # By default, CUDA graphs only cover smaller batches; larger ones are launched kernel by
        # kernel.
        "cuda_graph_config": {"max_batch_size": engine.max_batch_size, "enable_padding": True},
        "scheduler_config": {"capacity_scheduler_policy": "GUARANTEED_NO_EVICT"},
        "kv_cache_config": {
            "enable_block_reuse": False,  # no answer may profit from an earlier one
            "free_gpu_memory_fraction": engine.kv_cache_free_gpu_mem_fraction,
            "tokens_per_block": engine.tokens_per_block,
        },
    }


def models(config: Config) -> list[ServedModel]:
    """One model for each engine of the deployment, all of the same checkpoint.

    Raises ErError when the checkpoint, a GPU, the container or its program is missing.
    """
    request = request_of(config)
    require_tools(request.engine, "mpirun")
    gpu = gpu_name(request.engine)
    source = checked(request)
    parameters = {
        "llm_arguments": json.dumps(arguments(request)),
        "checkpoint_sha256": source.digest,
        "container_digest": container_digest(request.engine, Path(config.cache_dir)),
        "gpu": gpu,
        "largest_batch_at_512_tokens": str(request.memory.largest_batch),
        "predicted_kv_pool_tokens": str(request.memory.kv_tokens),
    }
    return [
        ServedModel(name, "", request.engine.max_batch_size, parameters, READY_MAX_TOKENS)
        for name in model_names(config.deployment)
    ]


def checked(request: LlmapiRequest) -> checkpoint.Checkpoint:
    """The checkpoint with its digest. Raises as `complete`."""
    config = request.config
    complete(request)
    return checkpoint.checked(request.checkpoint, config.deployment.model, Path(config.cache_dir))


def complete(request: LlmapiRequest) -> list[Path]:
    """The checkpoint's files, without reading its weights.

    Raises ErError when it is not complete or not in the wanted format.
    """
    path = request.checkpoint
    if request.quantization is Quantization.fp8 and not path.is_dir():
        raise ErError(
            f"checkpoint {path} is missing: quantise {request.engine.checkpoint} with NVIDIA's "
            "Model Optimizer 0.46.0 (examples/hf_ptq/hf_ptq.py --pyt_ckpt_path CHECKPOINT "
            "--qformat fp8 --kv_cache_qformat none --export_path DIRECTORY), and set "
            "engine.checkpoint_fp8 to that directory"
        )
    files = checkpoint.complete(path, request.config.deployment.model)
    of_weights, of_kv_cache = algorithms(path / QUANTISED)
    if of_kv_cache:
        raise ErError(
            f"checkpoint {path} has its KV cache in {of_kv_cache} ({QUANTISED}), which is to have "
            "16 bits: quantise it with --kv_cache_qformat none"
        )
    wanted = "FP8" if request.quantization is Quantization.fp8 else ""
    if of_weights != wanted:
        raise ErError(
            f"checkpoint {path} is {of_weights or 'not quantised'} ({QUANTISED}), "
            f"the weights are to be {request.quantization.value}: set "
            + (
                "engine.checkpoint_fp8 to one that Model Optimizer quantised to FP8"
                if wanted
                else "engine.checkpoint to one in 16 bits"
            )
        )
    return files


def algorithms(file: Path) -> tuple[str, str]:
    """The quantisation of weights and of the KV cache; empty for what is not quantised.

    Raises ErError when the file cannot be read.
    """
    if not file.is_file():
        return "", ""
    try:
        facts: Mapping[str, Any] = json.loads(file.read_text())["quantization"]
        return str(facts["quant_algo"] or ""), str(facts.get("kv_cache_quant_algo") or "")
    except (ValueError, LookupError, TypeError) as error:
        raise ErError(f"{file} cannot be read ({error.__class__.__name__})") from error
