"""Write the Triton model repository of one checkpoint for TensorRT-LLM's LLM API.

`tensorrt_llm` is the container's LLM-API model; `ensemble` maps the names of the contract to its
inputs inside Triton, without a Python process in between.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from er.config.trtllm import LlmapiEngine

OURS = Path(__file__).parent / "data" / "llmapi_model.py"
UNBATCHED = 0  # Triton must not batch: the LLM API batches in flight

# Name in the contract, name in the model, type, shape, optional.
INPUTS = (
    ("text_input", "text_input", "TYPE_STRING", [1], False),
    ("max_tokens", "sampling_param_max_tokens", "TYPE_INT32", [1], False),
    ("stream", "streaming", "TYPE_BOOL", [1], True),
    ("stop_words", "sampling_param_stop", "TYPE_STRING", [-1], True),
    ("temperature", "sampling_param_temperature", "TYPE_FP32", [1], True),
    ("top_p", "sampling_param_top_p", "TYPE_FP32", [1], True),
    ("random_seed", "sampling_param_seed", "TYPE_UINT64", [1], True),
    ("end_id", "end_id", "TYPE_INT32", [1], True),  # read only by er's own model
)
OUTPUT = {"name": "text_output", "data_type": "TYPE_STRING", "dims": [-1]}


def write(engine: LlmapiEngine, arguments: dict[str, Any], folder: Path) -> None:
    """Write the repository into `folder`; `arguments` are those of `tensorrt_llm.LLM`."""
    for name, message in {"ensemble": ensemble(), "tensorrt_llm": model()}.items():
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(text_format.MessageToString(message))
    version = folder / "tensorrt_llm" / "1"
    shutil.copyfile(OURS, version / "model.py")
    container = Path(engine.model_code) / "tensorrt_llm" / "1"
    (version / "container_model.py").symlink_to(container / "model.py")
    (version / "helpers.py").symlink_to(container / "helpers.py")
    triton = {"max_batch_size": UNBATCHED, "decoupled": True}
    # JSON is YAML too.
    (version / "model.yaml").write_text(
        json.dumps({**arguments, "triton_config": triton}, indent=1)
    )


def model() -> Any:
    """The ModelConfig of the container's model, with the inputs that are used, streaming."""
    return model_config_pb2.ModelConfig(
        name="tensorrt_llm",
        backend="python",
        max_batch_size=UNBATCHED,
        input=[
            {"name": name, "data_type": kind, "dims": dims, "optional": optional}
            for _, name, kind, dims, optional in INPUTS
        ],
        output=[OUTPUT],
        instance_group=[{"count": 1, "kind": "KIND_CPU"}],
        model_transaction_policy={"decoupled": True},
    )


def ensemble() -> Any:
    """The ModelConfig with the names of the contract."""
    message = model_config_pb2.ModelConfig(
        name="ensemble",
        platform="ensemble",
        max_batch_size=UNBATCHED,
        input=[
            {"name": name, "data_type": kind, "dims": dims, "optional": optional}
            for name, _, kind, dims, optional in INPUTS
        ],
        output=[OUTPUT],
    )
    message.ensemble_scheduling.step.add(
        model_name="tensorrt_llm",
        model_version=-1,
        input_map={theirs: ours for ours, theirs, *_ in INPUTS},
        output_map={"text_output": "text_output"},
    )
    return message
