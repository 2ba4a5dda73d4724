"""Write the Triton model repository of one TensorRT-LLM engine: four models, streaming.

NVIDIA's fifth model, `tensorrt_llm_bls`, is left out: it does what `ensemble` does, but in a
process for each instance. The inputs and outputs come from `data/trtllm_models_VERSION.json`; the
values of parameters are decided here. The Python models are the container's: version 1 is a link to
them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from er.config.trtllm import TrtllmEngine
from er.errors import ConfigError

DATA = Path(__file__).parent / "data"
OURS = ("tensorrt_llm", "ensemble")  # models without Python code of their own
# With a second instance of postprocessing, tokens of one stream can overtake each other.
INSTANCES = {"preprocessing": 2, "postprocessing": 1}
WORKER = "/opt/tritonserver/backends/tensorrtllm/trtllmExecutorWorker"


def write(engine: TrtllmEngine, engine_dir: Path, folder: Path) -> None:
    """Write the repository into `folder`; paths in it are those inside the container."""
    for name, message in configs(engine, engine_dir).items():
        model = folder / name
        model.mkdir(parents=True)
        (model / "config.pbtxt").write_text(text_format.MessageToString(message))
        if name in OURS:
            (model / "1").mkdir()
        else:
            (model / "1").symlink_to(Path(engine.model_code) / name / "1")


def configs(engine: TrtllmEngine, engine_dir: Path) -> dict[str, Any]:
    """The ModelConfig of every model, by name. Raises ConfigError for an unknown version."""
    path = DATA / f"trtllm_models_{engine.version}.json"
    if not path.is_file():
        raise ConfigError(f"engine.version is {engine.version}, whose Triton models are unknown")
    models = json.loads(path.read_text())["models"]
    chosen = parameters(engine, engine_dir)
    return {
        name: config(name, interface, engine, chosen[name]) for name, interface in models.items()
    }


def parameters(engine: TrtllmEngine, engine_dir: Path) -> dict[str, dict[str, str]]:
    """The parameters of each model; the backend has defaults for most others.

    It also reads some that have no default and no meaning here: these are empty.
    """
    tokenizer = {"tokenizer_dir": str(Path(engine.checkpoint).absolute())}
    return {
        "preprocessing": {
            **tokenizer,
            "gpt_model_path": str(engine_dir),
            "add_special_tokens": "true",
            "multimodal_model_path": "",
        },
        "tensorrt_llm": {
            **tokenizer,
            "gpt_model_path": str(engine_dir),
            "gpt_model_type": "inflight_fused_batching",
            "batch_scheduler_policy": "guaranteed_no_evict",
            "kv_cache_free_gpu_mem_fraction": str(engine.kv_cache_free_gpu_mem_fraction),
            "max_beam_width": "1",
            "exclude_input_in_output": "true",
            "enable_kv_cache_reuse": "false",  # no answer may profit from an earlier one
            "enable_chunked_context": "false",
            "FORCE_CPU_ONLY_INPUT_TENSORS": "no",
            "executor_worker_path": WORKER,
            "guided_decoding_backend": "",
            "xgrammar_tokenizer_info_path": "",
        },
        "postprocessing": {**tokenizer, "skip_special_tokens": "true"},
        "ensemble": {},
    }


def config(
    name: str, interface: Mapping[str, Any], engine: TrtllmEngine, chosen: Mapping[str, str]
) -> Any:
    """The ModelConfig of one model."""
    message = model_config_pb2.ModelConfig(
        name=name,
        max_batch_size=engine.max_batch_size,
        input=[tensor(*row) for row in interface["input"]],
        output=[tensor(*row) for row in interface["output"]],
        parameters={
            key: model_config_pb2.ModelParameter(string_value=value)
            for key, value in chosen.items()
        },
    )
    if name == "ensemble":
        message.platform = "ensemble"
        for step in interface["steps"]:
            message.ensemble_scheduling.step.add(model_version=-1, **step)
        return message
    message.backend = "tensorrtllm" if name == "tensorrt_llm" else "python"
    message.instance_group.add(count=INSTANCES.get(name, 1), kind="KIND_CPU")
    if name == "tensorrt_llm":
        message.model_transaction_policy.decoupled = True
    if name in ("tensorrt_llm", "preprocessing"):
        message.dynamic_batching.preferred_batch_size.append(engine.max_batch_size)
        message.dynamic_batching.max_queue_delay_microseconds = 0
        message.dynamic_batching.default_queue_policy.max_queue_size = 0
    if name == "postprocessing":
        message.dynamic_batching.SetInParent()
    return message


def tensor(name: str, kind: str, dims: list[int], flags: str) -> dict[str, Any]:
    """One input or output."""
    fields: dict[str, Any] = {"name": name, "data_type": kind, "dims": dims}
    if "optional" in flags:
        fields["optional"] = True
    if "ragged" in flags:
        fields["allow_ragged_batch"] = True
    if "scalar" in flags:
        fields["reshape"] = {"shape": []}
    return fields
