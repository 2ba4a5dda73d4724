"""Which engines are possible, what they need, and which commands build them."""

import json
import re
from pathlib import Path

import pytest

from er.compose import plan
from er.config import Config
from er.engine import trtllm_commands, trtllm_options
from er.engine.trtllm import EngineRequest, request_of
from er.errors import ConfigError

VERSION = "0.19.0"


def request(*overrides: str) -> EngineRequest:
    return request_of(config(*overrides))


def config(*overrides: str) -> Config:
    [only] = plan(["engine=trtllm", "server=container", *overrides])
    return only


def commands(it: EngineRequest) -> list[list[str]]:
    return [
        trtllm_commands.convert(it, Path("/hf"), Path("/converted")),
        trtllm_commands.build(it, Path("/converted"), Path("/engine")),
    ]


@pytest.mark.parametrize(
    ("deployment", "quantization", "tp"),
    [
        ("a", "int8_weight_only", 4),
        ("b", "fp16", 4),
        ("c", "fp16", 8),
        ("d", "int8_weight_only", 1),
        ("e", "fp16", 1),
    ],
)
def test_the_rows_of_table_1(deployment: str, quantization: str, tp: int) -> None:
    it = request(f"deployment={deployment}")
    assert (it.quantization.value, it.tp, it.dtype) == (quantization, tp, "float16")
    for command in commands(it):
        trtllm_options.check(VERSION, command)


@pytest.mark.parametrize(
    "overrides",
    [
        ("deployment=b", "engine=trtllm_bf16"),
        ("deployment=a", "engine=trtllm_int8_smoothquant", "engine.calibration=/texts"),
        ("deployment=d", "engine=trtllm_fp8"),
    ],
)
def test_variants_pass_the_tools_options(overrides: tuple[str, ...]) -> None:
    [composed] = plan(["server=container", *overrides])
    for command in commands(request_of(composed)):
        trtllm_options.check(VERSION, command)


def test_the_commands_of_a_tensor_parallel_int8_engine() -> None:
    convert, build = commands(request("deployment=a"))
    script = "/app/examples/llama/convert_checkpoint.py"
    assert convert == [
        *("python3", script, "--model_dir", "/hf", "--output_dir", "/converted"),
        *("--dtype", "float16", "--tp_size", "4", "--workers", "4"),
        *("--use_weight_only", "--weight_only_precision", "int8"),
    ]
    assert build == [
        *("trtllm-build", "--checkpoint_dir", "/converted", "--output_dir", "/engine"),
        *("--gpt_attention_plugin", "auto", "--gemm_plugin", "auto"),
        *("--context_fmha", "enable", "--use_paged_context_fmha", "enable"),
        *("--remove_input_padding", "enable", "--kv_cache_type", "paged"),
        *("--tokens_per_block", "64", "--max_batch_size", "256", "--max_num_tokens", "8192"),
        *("--max_input_len", "3072", "--max_seq_len", "4096", "--workers", "4"),
    ]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["engine.max_input_len=4096"], r"max_input_len is 4096.*max_seq_len is 4096"),
        (["engine.max_num_tokens=8"], r"max_num_tokens is 8, engine\.max_batch_size is 256"),
        (["engine.kv_cache_type=continuous"], "in-flight batching needs paged"),
        (["engine.tokens_per_block=48"], "tokens_per_block is 48: give a power of two"),
        (["engine.kv_cache_free_gpu_mem_fraction=1.5"], "give a share in"),
        (["engine.quantization=fp4"], "fp4"),
        (["deployment=b", "engine.quantization=fp8"], "fp8 has 8-bit weights.*is fp16"),
        (["deployment=a", "engine.quantization=bf16"], "bf16 has 16-bit weights.*is int8"),
        (
            ["deployment=a", "engine.quantization=fp8", "hardware=a100_sxm"],
            r"hardware\.a100_sxm has no FP8",
        ),
        (["deployment=a", "engine.quantization=int8_smoothquant"], "calibration is empty"),
        (["deployment=a", "deployment.model.heads=6"], "tp is 4, .* has 6 attention heads"),
        (["deployment=a", "deployment.model.kv_heads=6"], "tp is 4, .* has 6 key-value heads"),
        (
            ["deployment=b", "deployment.tp=1"],
            r"70b in fp16 at tp=1 does not fit h100_sxm: 84\.1 GB a GPU, less 141\.1 GB of "
            r"weights and 3\.0 GB of activations, leave -60\.0 GB, room for 0 tokens",
        ),
        (["deployment=a", "engine.version=0.5.0"], r"version is 0\.5\.0.*have \['0\.19\.0'\]"),
    ],
)
def test_an_impossible_engine_is_refused_with_the_reason(
    overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        request(*overrides)


@pytest.mark.parametrize(
    ("deployment", "weights_gb", "kv_kib_per_token"),
    # Weights: parameters x bytes, divided by the ranks, but for the input embedding of 2.1 GB,
    # which every rank has whole. KV cache: 2 x layers x KV heads x 128 x 2
    # bytes, 320 KiB a token for the 70B model and 128 KiB for the 8B model, divided by the ranks.
    [("a", 19.7, 80), ("b", 36.9, 80), ("c", 19.5, 40), ("d", 72.7, 320), ("e", 16.1, 128)],
)
def test_memory_of_one_gpu(deployment: str, weights_gb: float, kv_kib_per_token: int) -> None:
    memory = request(f"deployment={deployment}").memory
    assert memory.weight_bytes / 1e9 == pytest.approx(weights_gb, abs=0.05)
    assert memory.kv_bytes_per_token == kv_kib_per_token * 1024


@pytest.mark.parametrize(
    # Weights of all ranks in GB, from the parameters; disk twice that and a tenth; host memory
    # thrice, and 4 GB for each rank. As docs/gpu-node.md has it.
    ("deployment", "disk_gb", "build_disk_gb", "host_gb"),
    [("a", 73, 160, 234), ("b", 141, 310, 439), ("c", 141, 310, 455), ("d", 73, 160, 222),
     ("e", 16, 35, 52)],
)  # fmt: skip
def test_a_build_states_the_disk_and_memory_it_needs(
    deployment: str, disk_gb: int, build_disk_gb: int, host_gb: int
) -> None:
    memory = request(f"deployment={deployment}").memory
    found = (memory.engine_disk_bytes, memory.build_disk_bytes, memory.build_host_bytes)
    assert [round(size / 1e9) for size in found] == [disk_gb, build_disk_gb, host_gb]
    page = (Path(__file__).parents[3] / "docs/gpu-node.md").read_text()
    (row,) = re.findall(rf"^\| build of .*\b{deployment.upper()}\b.*$", page, re.MULTILINE)
    assert f"{disk_gb} GB, {build_disk_gb} GB for a while" in row
    assert re.search(rf"\b{host_gb}\b.* GB \|", row)


def test_the_largest_batch_of_the_tight_deployment() -> None:
    memory = request("deployment=d").memory
    left = (84_114_292_081 - memory.weight_bytes - 3_000_000_000) * 0.9
    assert memory.kv_tokens == left // (320 * 1024 * 64) * 64
    assert memory.largest_batch == memory.kv_tokens // 512 == 45


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max_output_len", "9"], "trtllm-build 0.19.0 has no option --max_output_len"),
        (["--use_inflight_batching"], "has no option --use_inflight_batching"),
        (["--gemm_plugin", "int8"], r"--gemm_plugin takes one of .*, not int8"),
        (["--paged_kv_cache", "enable"], "deprecates --paged_kv_cache: use --kv_cache_type"),
        (["--max_batch_size", "many"], "--max_batch_size takes int, not many"),
        (["--max_batch_size", "--workers"], "--max_batch_size needs a value"),
        (["--max_batch_size"], "--max_batch_size needs a value"),
    ],
)
def test_options_that_the_pinned_version_rejects(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        trtllm_options.check(VERSION, ["trtllm-build", *arguments])


def test_another_tool_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"rm -r runs none of \['convert_checkpoint.py'"):
        trtllm_options.check(VERSION, ["rm", "-r"])


@pytest.mark.parametrize("tool", ["convert_checkpoint.py", "trtllm-build"])
def test_the_table_excludes_options_that_differ_around_the_release(tool: str) -> None:
    table = json.loads((trtllm_options.DATA / f"trtllm_{VERSION}.json").read_text())
    options, sides = table["tools"][tool], table["revisions"][tool]
    assert not {*sides["only_before"], *sides["only_after"]} & set(options)
    for name, changed in sides["changed"].items():
        for side in ("before", "after"):
            assert set(options[name]["choices"]) <= set(changed[side]["choices"])
        assert "default" not in options[name]
    for name in (*sides["only_before"], *sides["only_after"]):
        with pytest.raises(ConfigError, match=f"has no option {name}"):
            trtllm_options.check(VERSION, [tool, name, "2"])


def test_the_help_of_an_installed_tool_is_compared_with_the_table() -> None:
    options = trtllm_options.tools(VERSION)["trtllm-build"]
    help_text = "usage: trtllm-build\n" + "\n".join(f"  {name} VALUE" for name in options)
    assert trtllm_options.missing_from_help(VERSION, "trtllm-build", help_text) == []
    help_text = help_text.replace("--kv_cache_type", "--kv_cache_type_of_tomorrow")
    assert trtllm_options.missing_from_help(VERSION, "trtllm-build", help_text) == [
        "--kv_cache_type"
    ]
