"""The repository of a TensorRT-LLM engine parses, is complete and keeps the contract."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig

from er.compose import plan
from er.config.trtllm import TrtllmEngine
from er.errors import ConfigError
from er.server import trtllm_repository

PYTHON = ("preprocessing", "postprocessing")


@pytest.fixture
def engine() -> TrtllmEngine:
    [config] = plan(
        ["engine=trtllm", "server=container", "engine.checkpoint=/hf", "engine.max_batch_size=16"]
    )
    assert isinstance(config.engine, TrtllmEngine)
    return config.engine


@pytest.fixture
def parsed(engine: TrtllmEngine, tmp_path: Path) -> dict[str, ModelConfig]:
    trtllm_repository.write(engine, Path("/engine"), tmp_path)
    return {
        path.parent.name: text_format.Parse(path.read_text(), ModelConfig())
        for path in tmp_path.glob("*/config.pbtxt")
    }


def values(config: ModelConfig) -> dict[str, str]:
    return {name: parameter.string_value for name, parameter in config.parameters.items()}


def test_four_models_of_one_batch_size(parsed: dict[str, ModelConfig]) -> None:
    assert sorted(parsed) == sorted([*PYTHON, "tensorrt_llm", "ensemble"])
    for name, config in parsed.items():
        assert config.name == name
        assert config.max_batch_size == 16
        assert config.model_transaction_policy.decoupled == (name == "tensorrt_llm")
    assert {name: config.backend or config.platform for name, config in parsed.items()} == {
        "preprocessing": "python",
        "postprocessing": "python",
        "tensorrt_llm": "tensorrtllm",
        "ensemble": "ensemble",
    }


def test_mandatory_values_of_the_engine(parsed: dict[str, ModelConfig]) -> None:
    config = parsed["tensorrt_llm"]
    parameters = values(config)
    assert parameters["gpt_model_path"] == "/engine"
    assert parameters["tokenizer_dir"] == "/hf"
    assert parameters["gpt_model_type"] == "inflight_fused_batching"
    assert parameters["kv_cache_free_gpu_mem_fraction"] == "0.9"
    assert parameters["exclude_input_in_output"] == "true"
    assert list(config.dynamic_batching.preferred_batch_size) == [16]
    inputs = {field.name: field for field in config.input}
    assert inputs["encoder_input_features"].data_type == DataType.TYPE_FP16
    assert inputs["draft_logits"].data_type == DataType.TYPE_FP32
    assert inputs["input_ids"].allow_ragged_batch
    assert inputs["input_lengths"].HasField("reshape")
    assert not inputs["input_lengths"].optional


def test_one_postprocessing_instance_keeps_the_order_of_tokens(
    parsed: dict[str, ModelConfig],
) -> None:
    assert [group.count for group in parsed["postprocessing"].instance_group] == [1]


def test_nothing_is_left_to_fill_in(engine: TrtllmEngine, tmp_path: Path) -> None:
    trtllm_repository.write(engine, Path("/engine"), tmp_path)
    for path in tmp_path.glob("*/config.pbtxt"):
        assert "${" not in path.read_text()


def test_the_contract(parsed: dict[str, ModelConfig]) -> None:
    name = "ensemble"
    inputs = {field.name: field.optional for field in parsed[name].input}
    assert [field for field, optional in inputs.items() if not optional] == [
        "text_input",
        "max_tokens",
    ]
    optional = {"bad_words", "stop_words", "stream", "temperature", "top_p", "random_seed"}
    assert optional | {"end_id", "return_perf_metrics"} <= set(inputs)
    assert "text_output" in [field.name for field in parsed[name].output]


def test_the_ensemble_joins_fields_that_exist(parsed: dict[str, ModelConfig]) -> None:
    steps = parsed["ensemble"].ensemble_scheduling.step
    assert [step.model_name for step in steps] == [
        "preprocessing",
        "tensorrt_llm",
        "postprocessing",
    ]
    known = {field.name for field in parsed["ensemble"].input}
    for step in steps:
        model = parsed[step.model_name]
        assert set(step.input_map) <= {field.name for field in model.input}
        assert set(step.output_map) <= {field.name for field in model.output}
        assert set(step.input_map.values()) <= known
        known |= set(step.output_map.values())
    assert {field.name for field in parsed["ensemble"].output} <= known


def test_python_models_are_the_containers(engine: TrtllmEngine, tmp_path: Path) -> None:
    trtllm_repository.write(engine, Path("/engine"), tmp_path)
    for name in PYTHON:
        link = tmp_path / name / "1"
        assert str(link.readlink()) == f"/app/all_models/inflight_batcher_llm/{name}/1"
    for name in ("tensorrt_llm", "ensemble"):
        assert list((tmp_path / name / "1").iterdir()) == []


def test_an_unknown_version_is_refused(engine: TrtllmEngine) -> None:
    engine.version = "0.5.0"
    with pytest.raises(ConfigError, match=r"version is 0\.5\.0, whose Triton models are unknown"):
        trtllm_repository.configs(engine, Path("/engine"))
