"""Engines of the LLM API: which are possible, and why others are refused."""

import json
from pathlib import Path

import pytest

from er import build as cli
from er.compose import plan
from er.engine import kinds, llmapi, llmapi_arguments
from er.engine.llmapi import LlmapiRequest
from er.errors import ConfigError, ErError

VERSION = "1.2.1"
SHAPE = {"layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 8, "parameters": 1000}


def request(*overrides: str) -> LlmapiRequest:
    chosen = [override.split("=")[0] for override in overrides]
    engine = [] if "engine" in chosen else ["engine=llmapi"]
    [config] = plan(["server=container", *engine, *overrides])
    return llmapi.request_of(config)


@pytest.mark.parametrize(
    ("deployment", "engine", "tp", "dtype"),
    [
        ("a", "llmapi_fp8", 4, "auto"),
        ("b", "llmapi", 4, "float16"),
        ("b", "llmapi_bf16", 4, "bfloat16"),
        ("c", "llmapi", 8, "float16"),
        ("e", "llmapi_fp8", 1, "float16"),
        ("d", "llmapi_fp8", 1, "auto"),
        ("e", "llmapi", 1, "float16"),
    ],
)
def test_the_rows_of_table_1(deployment: str, engine: str, tp: int, dtype: str) -> None:
    arguments = llmapi.arguments(request(f"deployment={deployment}", f"engine={engine}"))
    assert (arguments["tensor_parallel_size"], arguments["dtype"]) == (tp, dtype)
    assert arguments["cuda_graph_config"]["max_batch_size"] == arguments["max_batch_size"] == 256
    assert arguments["model"].startswith("/")
    llmapi_arguments.check(VERSION, arguments)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["deployment=a"], "runs FP8 and FP4 weights in place of INT8; choose engine=llmapi_fp8"),
        (["deployment=d"], r"deployment\.d is int8 .* or build it with engine=trtllm"),
        (["deployment=b", "engine.quantization=fp8"], "fp8 has 8-bit weights.*is fp16"),
        (["deployment=a", "engine=llmapi_fp8", "hardware=a100_sxm"], "has no FP8 arithmetic"),
        (["deployment=b", "deployment.model.heads=6"], "tp is 4, .* has 6 attention heads"),
        (["deployment=b", "deployment.tp=1"], "does not fit h100_sxm: 84.1 GB a GPU, less 141.1"),
        (["deployment=b", "engine.max_input_len=4096"], "max_seq_len holds the output too"),
        (["deployment=b", "engine.version=0.19.0"], r"LLM arguments are unknown: have \['1\.2"),
    ],
)
def test_an_impossible_engine_is_refused_with_the_reason(
    overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        request(*overrides)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"paged_kv_cache": True}, "LLM 1.2.1 has no argument paged_kv_cache"),
        ({"max_batch_size": "8"}, "max_batch_size takes int, not 8"),
        ({"backend": "tensorrt"}, r"backend takes one of \['pytorch'\], not tensorrt"),
        ({"kv_cache_config": {"fraction": 0.9}}, "LLM 1.2.1 kv_cache_config has no argument"),
    ],
)
def test_arguments_that_the_pinned_version_rejects(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        llmapi_arguments.check(VERSION, given)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A GPU node with a small checkpoint; the overrides that name it."""
    for name in ("nvidia-smi", "mpirun", "python3"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text('#!/bin/sh\necho "${FAKE_OUTPUT:-NVIDIA H100 80GB HBM3}"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    checkpoint = tmp_path / "hf"
    checkpoint.mkdir()
    config = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    (checkpoint / "config.json").write_text(json.dumps({**config, "hidden_size": 32}))
    for name in ("tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        (checkpoint / name).write_text(name)
    return [
        *("engine=llmapi", "server=container", "engine.container.runtime=bare", "deployment=e"),
        *(f"deployment.model.{name}={value}" for name, value in SHAPE.items()),
        *("deployment.model.embedding_parameters=100", f"engine.checkpoint={checkpoint}"),
        f"cache_dir={tmp_path / 'cache'}",
    ]


def test_a_run_serves_the_checkpoint_as_it_is(
    node: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    [config] = plan(node)
    models = kinds.models(config)
    assert [model.name for model in models] == [f"expert_{index}" for index in range(8)]
    recorded = models[0].parameters
    assert json.loads(recorded["llm_arguments"])["model"].endswith("/hf")
    assert int(recorded["largest_batch_at_512_tokens"]) > 1000
    assert recorded["predicted_kv_pool_tokens"] == str(llmapi.request_of(config).memory.kv_tokens)
    assert recorded["gpu"] == "NVIDIA H100 80GB HBM3"
    assert cli.main(node) == 0
    assert "nothing to build: engine=llmapi serves" in capsys.readouterr().out


def test_a_checkpoint_in_another_format_is_refused(node: list[str], tmp_path: Path) -> None:
    fp8 = f"engine.checkpoint_fp8={tmp_path / 'hf'}"
    eight = [*node, "engine.quantization=fp8_for_int8", "deployment.precision=int8", fp8]
    with pytest.raises(ErError, match=r"_fp8 is missing: quantise .* with NVIDIA's Model Opt"):
        kinds.models(*plan(eight[:-1]))
    with pytest.raises(ErError, match=r"is not quantised .*one that Model Optimizer quantised"):
        kinds.models(*plan(eight))
    file = tmp_path / "hf" / "hf_quant_config.json"
    file.write_text(json.dumps({"quantization": {"quant_algo": "FP8"}}))
    assert kinds.models(*plan(eight))
    with pytest.raises(ErError, match=r"is FP8 .*, the weights are to be fp16"):
        kinds.models(*plan(node))
    both = {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}
    file.write_text(json.dumps({"quantization": both}))
    with pytest.raises(ErError, match=r"KV cache in FP8 .*--kv_cache_qformat none"):
        kinds.models(*plan(eight))
    file.write_text("{")
    with pytest.raises(ErError, match=r"hf_quant_config\.json cannot be read"):
        kinds.models(*plan(eight))


def test_fields_are_compared_with_the_installed_package(
    node: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = llmapi_arguments.classes(VERSION)
    monkeypatch.setenv("FAKE_OUTPUT", json.dumps(recorded))
    assert cli.main(["action=options", *node]) == 0
    recorded["KvCacheConfig"].remove("tokens_per_block")
    monkeypatch.setenv("FAKE_OUTPUT", json.dumps(recorded))
    assert cli.main(["action=options", *node]) == 1
    assert "KvCacheConfig 1.2.1: tokens_per_block" in capsys.readouterr().out


def test_a_dry_run_prints_the_arguments(
    node: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["dry=true", *node]) == 0
    out = capsys.readouterr().out
    assert '"backend": "pytorch"' in out
    assert "sha256 " in out
    assert "--bind-to none -n 1" in out
    assert "and 7 more: port 8001, GPU 1" in out
