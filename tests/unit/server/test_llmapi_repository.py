"""The repository of the LLM-API flow parses, is complete and keeps the contract."""

import json
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from er.compose import plan
from er.config.trtllm import LlmapiEngine
from er.engine import llmapi
from er.server import llmapi_repository

DEPLOYMENTS = {"a": "llmapi_fp8", "b": "llmapi", "c": "llmapi", "d": "llmapi_fp8", "e": "llmapi"}


def written(deployment: str, folder: Path) -> dict[str, ModelConfig]:
    engine = DEPLOYMENTS[deployment]
    [config] = plan([f"deployment={deployment}", f"engine={engine}", "server=container"])
    assert isinstance(config.engine, LlmapiEngine)
    arguments = llmapi.arguments(llmapi.request_of(config))
    llmapi_repository.write(config.engine, arguments, folder)
    return {
        path.parent.name: text_format.Parse(path.read_text(), ModelConfig())
        for path in folder.glob("*/config.pbtxt")
    }


@pytest.mark.parametrize(("deployment", "tp"), [("a", 4), ("b", 4), ("c", 8), ("d", 1), ("e", 1)])
def test_two_models_and_the_settings_of_one(deployment: str, tp: int, tmp_path: Path) -> None:
    parsed = written(deployment, tmp_path)
    assert {name: it.backend or it.platform for name, it in parsed.items()} == {
        "ensemble": "ensemble",
        "tensorrt_llm": "python",
    }
    assert parsed["tensorrt_llm"].model_transaction_policy.decoupled
    assert [it.max_batch_size for it in parsed.values()] == [0, 0]
    settings = json.loads((tmp_path / "tensorrt_llm" / "1" / "model.yaml").read_text())
    assert settings["tensor_parallel_size"] == tp
    assert settings["triton_config"] == {"max_batch_size": 0, "decoupled": True}
    assert not settings["kv_cache_config"]["enable_block_reuse"]


def test_the_contract_leads_to_inputs_of_the_model(tmp_path: Path) -> None:
    parsed = written("e", tmp_path)
    inputs = {field.name: field.optional for field in parsed["ensemble"].input}
    assert [name for name, optional in inputs.items() if not optional] == [
        "text_input",
        "max_tokens",
    ]
    assert {"stream", "stop_words", "temperature", "top_p", "random_seed"} < set(inputs)
    (step,) = parsed["ensemble"].ensemble_scheduling.step
    model = {field.name: field for field in parsed["tensorrt_llm"].input}
    ensemble = {field.name: field for field in parsed["ensemble"].input}
    assert set(step.input_map) == set(model)
    assert set(step.input_map.values()) == set(ensemble)
    for theirs, ours in step.input_map.items():
        assert model[theirs].data_type == ensemble[ours].data_type
        assert list(model[theirs].dims) == list(ensemble[ours].dims)
    assert step.input_map["sampling_param_max_tokens"] == "max_tokens"
    assert dict(step.output_map) == {"text_output": "text_output"}


def test_the_containers_model_lies_beside_ours(tmp_path: Path) -> None:
    written("e", tmp_path)
    version = tmp_path / "tensorrt_llm" / "1"
    assert not (version / "model.py").is_symlink()
    for name, theirs in {"container_model.py": "model.py", "helpers.py": "helpers.py"}.items():
        link = (version / name).readlink()
        assert str(link) == f"/app/all_models/llmapi/tensorrt_llm/1/{theirs}"
