"""The model repository that Triton reads."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from er.results.request import ServedModel
from er.server import model_repository

MODEL = ServedModel("expert_0", "json.decoder", 7, {"table": 'a "quoted" \\ value', "tp": "4"})


@pytest.fixture
def parsed() -> ModelConfig:
    return text_format.Parse(model_repository.config(MODEL), ModelConfig())


def test_config_keeps_the_values(parsed: ModelConfig) -> None:
    assert parsed.name == "expert_0"
    assert parsed.backend == "python"
    assert parsed.max_batch_size == 7
    assert parsed.model_transaction_policy.decoupled
    assert {name: p.string_value for name, p in parsed.parameters.items()} == MODEL.parameters


def test_config_declares_the_contract(parsed: ModelConfig) -> None:
    required = {field.name for field in parsed.input if not field.optional}
    assert required == {"text_input", "max_tokens"}
    assert {field.name for field in parsed.input if field.optional} == {
        "stream",
        "bad_words",
        "stop_words",
        "temperature",
        "top_p",
        "random_seed",
        "end_id",
        "return_perf_metrics",
    }
    assert [field.name for field in parsed.output] == ["text_output", "token_lateness"]


def test_one_folder_per_model(tmp_path: Path) -> None:
    second = ServedModel("expert_1", "json.decoder", 1, {})
    model_repository.write([MODEL, second], tmp_path)
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*"))
    assert files == [
        "expert_0/1/model.py",
        "expert_0/config.pbtxt",
        "expert_1/1/model.py",
        "expert_1/config.pbtxt",
    ]


def test_module_finds_the_implementation_on_this_search_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    text = model_repository.module(ServedModel("m", "some.module", 1, {}))
    assert repr(str(tmp_path)) in text
    assert text.endswith("from some.module import TritonPythonModel as TritonPythonModel\n")
    compile(text, "model.py", "exec")
