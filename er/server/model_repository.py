"""Write Triton model repositories for models of the Python backend.

Every model has the inputs and outputs of the TensorRT-LLM backend: text in, streamed tokens out.
"""

import sys
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from er.results.request import ServedModel

# Name, type, shape without the batch dimension, optional.
INPUTS = (
    ("text_input", "TYPE_STRING", 1, False),
    ("max_tokens", "TYPE_INT32", 1, False),
    ("stream", "TYPE_BOOL", 1, True),
    ("bad_words", "TYPE_STRING", -1, True),
    ("stop_words", "TYPE_STRING", -1, True),
    ("temperature", "TYPE_FP32", 1, True),
    ("top_p", "TYPE_FP32", 1, True),
    ("random_seed", "TYPE_UINT64", 1, True),
    ("end_id", "TYPE_INT32", 1, True),
    ("return_perf_metrics", "TYPE_BOOL", 1, True),
)
OUTPUTS = (
    ("text_output", "TYPE_STRING", -1),
    ("token_lateness", "TYPE_FP32", -1),  # of simulated engines, with the last token
)


def write(models: list[ServedModel], folder: Path) -> None:
    """Write a folder for each model: `config.pbtxt`, and version 1, which imports the model."""
    for model in models:
        version = folder / model.name / "1"
        version.mkdir(parents=True)
        (folder / model.name / "config.pbtxt").write_text(config(model))
        (version / "model.py").write_text(module(model))


def module(model: ServedModel) -> str:
    """The source of version 1 of a model, which imports its implementation.

    The Python backend ignores PYTHONPATH, so this process's search path is part of the source.
    """
    return (
        "import sys\n\n"
        f"sys.path += {[folder for folder in sys.path if folder]}\n"
        f"from {model.implementation} import TritonPythonModel as TritonPythonModel\n"
    )


def config(model: ServedModel) -> str:
    """The `config.pbtxt` of one model: decoupled, with one instance."""
    message = model_config_pb2.ModelConfig(
        name=model.name,
        backend="python",
        max_batch_size=model.max_batch_size,
        input=[
            {"name": name, "data_type": kind, "dims": [length], "optional": optional}
            for name, kind, length, optional in INPUTS
        ],
        output=[
            {"name": name, "data_type": kind, "dims": [length]} for name, kind, length in OUTPUTS
        ],
        model_transaction_policy={"decoupled": True},
        instance_group=[{"count": 1, "kind": "KIND_CPU"}],
        parameters={
            name: model_config_pb2.ModelParameter(string_value=value)
            for name, value in model.parameters.items()
        },
    )
    return str(text_format.MessageToString(message))
