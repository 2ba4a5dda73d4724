"""The two commands that build an engine from a checkpoint."""

from pathlib import Path

from er.config.trtllm import Quantization
from er.engine.trtllm import EngineRequest

# Options of the conversion for each quantisation.
QUANTIZE = {
    Quantization.fp16: [],
    Quantization.bf16: [],
    Quantization.int8_weight_only: ["--use_weight_only", "--weight_only_precision", "int8"],
    Quantization.int8_smoothquant: ["--smoothquant", "0.5", "--per_token", "--per_channel"],
    Quantization.fp8: ["--use_fp8_rowwise"],
}


def convert(request: EngineRequest, checkpoint: Path, output: Path) -> list[str]:
    """The command that converts a Hugging Face checkpoint to TensorRT-LLM's, for all ranks."""
    command = ["python3", request.engine.convert_script]
    command += ["--model_dir", str(checkpoint), "--output_dir", str(output)]
    command += ["--dtype", request.dtype]
    command += ["--tp_size", str(request.tp), "--workers", str(request.tp)]
    command += QUANTIZE[request.quantization]
    if request.quantization is Quantization.int8_smoothquant:
        command += ["--calib_dataset", str(Path(request.engine.calibration).absolute())]
    return command


def build(request: EngineRequest, converted: Path, output: Path) -> list[str]:
    """The command that builds engines, one for each rank, from a TensorRT-LLM checkpoint."""
    engine = request.engine
    command = ["trtllm-build", "--checkpoint_dir", str(converted), "--output_dir", str(output)]
    command += ["--gpt_attention_plugin", "auto", "--gemm_plugin", "auto"]
    command += ["--context_fmha", "enable", "--use_paged_context_fmha", "enable"]
    command += ["--remove_input_padding", "enable", "--kv_cache_type", engine.kv_cache_type.value]
    command += ["--tokens_per_block", str(engine.tokens_per_block)]
    command += ["--max_batch_size", str(engine.max_batch_size)]
    command += ["--max_num_tokens", str(engine.max_num_tokens)]
    command += ["--max_input_len", str(engine.max_input_len)]
    command += ["--max_seq_len", str(engine.max_seq_len)]
    command += ["--workers", str(request.tp)]
    return command
