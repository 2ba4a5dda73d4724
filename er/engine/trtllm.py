"""Describe the TensorRT-LLM engine of a configuration, and refuse impossible ones."""

from dataclasses import dataclass

from er.config import Config, Precision
from er.config.trtllm import Quantization, TrtllmEngine, weights_of
from er.engine import trtllm_memory, trtllm_options
from er.engine.trtllm_memory import Memory
from er.errors import ConfigError

FP8_HARDWARE = ("h100_sxm", "h200_sxm")  # Hopper; Ampere has no FP8 arithmetic
SIXTEEN_BITS = (Quantization.fp16, Quantization.bf16)


@dataclass(frozen=True)
class EngineRequest:
    """One engine of a deployment; all its experts are alike."""

    config: Config
    engine: TrtllmEngine
    quantization: Quantization
    memory: Memory

    @property
    def dtype(self) -> str:
        """TensorRT-LLM's name of the number format of activations and KV cache."""
        return "bfloat16" if self.quantization is Quantization.bf16 else "float16"

    @property
    def tp(self) -> int:
        """Number of ranks, each of which has a GPU of its own."""
        return self.config.deployment.tp


def request_of(config: Config) -> EngineRequest:
    """The engine that a configuration describes.

    Raises ConfigError, with the reason, when such an engine is impossible.
    """
    engine, deployment = config.engine, config.deployment
    if not isinstance(engine, TrtllmEngine):
        raise ConfigError(f"engine.kind is {engine.kind}: only engine=trtllm is built")
    trtllm_options.tools(engine.version)  # raises ConfigError for an unknown version
    quantization = weights_of(engine, deployment.precision)
    check_weights(config, quantization)
    if quantization is Quantization.int8_smoothquant and not engine.calibration:
        raise ConfigError(
            "engine.quantization is int8_smoothquant, which calibrates on text, and "
            "engine.calibration is empty: give the directory of a data set"
        )
    return EngineRequest(config, engine, quantization, trtllm_memory.of(config, engine))


def check_weights(config: Config, quantization: Quantization) -> None:
    """Raise ConfigError unless the weights suit the deployment, its parallelism and its GPUs."""
    check_width(quantization, config.deployment.precision)
    check_parallel(config)
    if quantization is Quantization.fp8 and config.hardware.name not in FP8_HARDWARE:
        raise ConfigError(
            f"engine.quantization is fp8, and hardware.{config.hardware.name} has no FP8 "
            f"arithmetic: choose hardware from {list(FP8_HARDWARE)}, or engine=trtllm"
        )


def check_width(quantization: Quantization, precision: Precision) -> None:
    """Raise ConfigError unless the engine's weights are as wide as the deployment says."""
    bits = 16 if quantization in SIXTEEN_BITS else 8
    if bits != (16 if precision is Precision.fp16 else 8):
        raise ConfigError(
            f"engine.quantization {quantization.value} has {bits}-bit weights, "
            f"deployment.precision is {precision.value}: choose an engine of the same width"
        )


def check_parallel(config: Config) -> None:
    """Raise ConfigError unless tensor parallelism divides the model."""
    model, tp = config.deployment.model, config.deployment.tp
    if model.heads % tp:
        raise ConfigError(
            f"deployment.tp is {tp}, {model.name} has {model.heads} attention heads: "
            "tp must divide them"
        )
    if max(model.kv_heads, tp) % min(model.kv_heads, tp):
        raise ConfigError(
            f"deployment.tp is {tp}, {model.name} has {model.kv_heads} key-value heads: "
            "one must divide the other"
        )
