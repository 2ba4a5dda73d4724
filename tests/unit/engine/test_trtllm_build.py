"""The engine cache, driven through real faults by stand-ins for TensorRT-LLM's tools."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from er import build as cli
from er.compose import plan
from er.engine import kinds, trtllm_build
from er.engine.trtllm import request_of
from er.errors import ErError
from tests.standins.waiting import eventually

FAKE = Path(__file__).parent / "fake_trtllm.py"
SHAPE = {"layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 8, "parameters": 1000}
Usage = namedtuple("Usage", "total used free")


class Node:
    """A GPU node: tools on PATH, a checkpoint, a cache."""

    def __init__(self, folder: Path) -> None:
        self.checkpoint = folder / "hf"
        self.cache = folder / "cache"
        self.engines = self.cache / "engines"
        self.calls = folder / "calls"
        self.overrides = [
            "deployment=b",
            "deployment.tp=2",
            *(f"deployment.model.{name}={value}" for name, value in SHAPE.items()),
            "deployment.model.embedding_parameters=100",
            "engine=trtllm",
            "server=container",
            "engine.container.runtime=bare",
            f"engine.checkpoint={self.checkpoint}",
            f"engine.convert_script={folder / 'convert_checkpoint.py'}",
            f"cache_dir={self.cache}",
        ]

    def build(self, *overrides: str) -> Path:
        [config] = plan([*self.overrides, *overrides])
        return trtllm_build.build(request_of(config), report=print)

    def started(self) -> list[str]:
        return self.calls.read_text().split() if self.calls.exists() else []

    def left(self) -> list[str]:
        """What is in the cache beside whole engines, locks and logs."""
        building = self.engines / ".building"
        return [path.name for path in building.iterdir()] if building.exists() else []


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    node = Node(tmp_path)
    tools = tmp_path / "bin"
    tools.mkdir()
    for path in (tools / "trtllm-build", tools / "nvidia-smi"):
        path.write_text(f"#!{sys.executable}\n{FAKE.read_text()}")
        path.chmod(0o755)
    (tmp_path / "convert_checkpoint.py").write_text(FAKE.read_text())
    monkeypatch.setenv("PATH", f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_TRTLLM_CALLS", str(node.calls))
    node.checkpoint.mkdir()
    config = {
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "hidden_size": 32,
    }
    (node.checkpoint / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        (node.checkpoint / name).write_text(name)
    return node


BOTH = ["convert_checkpoint.py", "trtllm-build"]


def test_built_once_then_reused(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    path = node.build()
    assert sorted(file.name for file in path.iterdir()) == [
        "config.json",
        "rank0.engine",
        "rank1.engine",
        "request.json",
    ]
    out = capsys.readouterr().out
    assert "built: " in out
    assert re.search(r"this takes \d+ GB of disk .* and up to some \d+ GB of the host's mem", out)
    assert out.index("this takes") < out.index("running: "), "said before it begins"
    assert "  [TRT-LLM] [I] convert_checkpoint.py at work\n" in out
    assert "  [TRT-LLM] [I] trtllm-build at work\n" in out
    assert node.build() == path
    assert "reused: " in capsys.readouterr().out
    assert node.started() == BOTH
    assert node.left() == []


@pytest.mark.parametrize(
    "override",
    ["engine.max_batch_size=8", "engine.container.digest=sha256:1", "engine=trtllm_bf16"],
)
def test_another_request_is_another_engine(node: Node, override: str) -> None:
    first = node.build()
    if override.startswith("engine="):
        node.overrides = [word for word in node.overrides if not word.startswith("engine=")]
    assert node.build(override) != first
    assert node.started() == BOTH * 2


def test_a_changed_checkpoint_is_another_engine(node: Node) -> None:
    first = node.build()
    (node.checkpoint / "model.safetensors").write_text("other weights")
    assert node.build() != first
    assert node.started() == BOTH * 2


def test_other_texts_to_calibrate_on_make_another_engine(node: Node) -> None:
    texts = node.checkpoint.parent / "texts"
    node.overrides = [word for word in node.overrides if not word.startswith("engine=")]
    smooth = ["engine=trtllm_int8_smoothquant", f"engine.calibration={texts}"]
    smooth += ["deployment.precision=int8"]
    with pytest.raises(ErError, match=r"texts holds no files: set engine\.calibration"):
        node.build(*smooth)
    (texts / "train").mkdir(parents=True)
    (texts / "train" / "0.json").write_text("one")
    first = node.build(*smooth)
    elsewhere = texts.rename(texts.with_name("moved"))
    moved = [word.replace(str(texts), str(elsewhere)) for word in smooth]
    assert node.build(*moved) == first, "the place is not what counts"
    (elsewhere / "train" / "0.json").write_text("other")
    assert node.build(*moved) != first
    assert node.started() == BOTH * 2


def test_two_builders_build_once(node: Node) -> None:
    command = [sys.executable, "-m", "er.build", *node.overrides]
    builders = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    output = [builder.communicate(timeout=120)[0] for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0]
    assert sorted("reused: " in text for text in output) == [False, True]
    assert node.started() == BOTH


def test_a_killed_builder_leaves_nothing_in_the_way(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TRTLLM", "hang")
    builder = subprocess.Popen([sys.executable, "-m", "er.build", *node.overrides])
    assert eventually(lambda: any(node.engines.glob(".building/*/engine/rank0.engine")))
    assert cli.main(["action=prune", *node.overrides]) == 0
    assert len(node.left()) == 1, "a builder at work was disturbed"
    builder.send_signal(signal.SIGKILL)
    builder.wait()
    assert len(node.left()) == 1
    assert not [path for path in node.engines.iterdir() if path.name[0] != "."]
    monkeypatch.delenv("FAKE_TRTLLM")
    node.build()
    assert node.left() == []


def test_ctrl_c_stops_the_tools_and_keeps_nothing_half_built(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TRTLLM", "hang")
    command = [sys.executable, "-m", "er.build", *node.overrides]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as builder:
        assert eventually(lambda: any(node.engines.glob(".building/*/engine/rank0.engine")))
        builder.send_signal(signal.SIGINT)
        output = builder.communicate(timeout=60)[1]
    assert builder.returncode == 130
    assert output == "er.build: interrupted: the tools are stopped, nothing half-built is kept\n"
    assert node.left() == []


def test_prune_removes_what_a_killed_builder_left(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    path = node.build()
    (node.engines / ".building" / "half").mkdir(parents=True)
    (node.engines / "half").mkdir()
    capsys.readouterr()
    assert cli.main(["action=prune", *node.overrides]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert cli.main(["action=list", *node.overrides]) == 0
    assert capsys.readouterr().out.split()[-1] == str(path)


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("fail", r"^trtllm-build stopped .* status 1: .*Unsupported architecture.*\(log: "),
        ("disk_full", "No space left on device"),
        (
            "wrong_batch",
            r"built another engine than the requested one: .*tokens_per_block is None, not 64",
        ),
        ("no_rank", r"built another engine than the requested one: rank0\.engine is missing"),
    ],
)
def test_a_failed_build_leaves_the_cache_as_it_was(
    node: Node, monkeypatch: pytest.MonkeyPatch, behaviour: str, message: str
) -> None:
    monkeypatch.setenv("FAKE_TRTLLM", behaviour)
    with pytest.raises(ErError, match=message):
        node.build()
    assert node.left() == []
    assert not [path for path in node.engines.iterdir() if path.name[0] != "."]


def test_too_little_disk_space_is_reported_before_a_tool_starts(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trtllm_build.shutil, "disk_usage", lambda _: Usage(1, 1, 0))
    with pytest.raises(
        ErError, match=r"building needs .* GB in .*engines, which has 0\.0+ GB free"
    ):
        node.build()
    assert node.started() == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: (path / "rank1.engine").unlink(), "rank1.engine is missing or empty"),
        (lambda path: (path / "rank0.engine").write_text(""), "rank0.engine is missing or empty"),
        (lambda path: (path / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda path: (path / "config.json").write_text("[]"), "version is None, not 0.19.0"),
        (lambda path: (path / "request.json").write_text("{}"), "request.json is of another"),
    ],
)
def test_a_damaged_or_foreign_engine_is_not_used(
    node: Node, damage: Callable[[Path], object], message: str
) -> None:
    path = node.build()
    damage(path)
    with pytest.raises(ErError, match=rf"^engine {path} is damaged: {message}.*delete the folder"):
        node.build()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", r"is missing: accept the Llama 3 licence at huggingface\.co/meta-llama"),
        ("tokenizer.json", "is not complete: tokenizer.json is missing"),
        ("model.safetensors", "is not complete: model.safetensors is missing"),
    ],
)
def test_an_incomplete_checkpoint_is_refused(node: Node, name: str, message: str) -> None:
    if name:
        (node.checkpoint / name).unlink()
    else:
        node.checkpoint.rename(node.checkpoint.with_name("elsewhere"))
    with pytest.raises(ErError, match=message):
        node.build()


def test_a_missing_shard_of_the_index_is_named(node: Node) -> None:
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (node.checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    (node.checkpoint / "model-1.safetensors").touch()
    with pytest.raises(ErError, match=r"model-2\.safetensors is missing"):
        node.build()


def test_a_checkpoint_of_another_model_is_refused(node: Node) -> None:
    with pytest.raises(ErError, match="its num_hidden_layers is 2, that of llama3_70b is 3"):
        node.build("deployment.model.layers=3")


def test_help_lists_the_actions(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("dry=", "preflight", "prune", "options"))


def test_a_dry_run_builds_nothing(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["dry=true", *node.overrides]) == 0
    out = capsys.readouterr().out
    assert f"--model_dir {node.checkpoint}" in out
    assert "sequences of 512" in out
    assert "not built yet" in out
    assert "--http-port=8000" in out
    assert node.started() == []


def test_options_are_compared_with_the_installed_tools(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    for tool in ("bin/trtllm-build", "convert_checkpoint.py"):
        text = "import sys\nprint('--checkpoint_dir --model_dir')\n"
        path = node.checkpoint.parent / tool
        path.write_text(f"#!{sys.executable}\n{text}")
    assert cli.main(["action=options", *node.overrides]) == 1
    out = capsys.readouterr().out
    assert "--kv_cache_type" in out
    assert "--checkpoint_dir" not in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["deployment=d"],
            1,
            r"docker is missing: TensorRT-LLM 0\.19\.0 runs on a GPU node in the",
        ),
        (["deployment=d", "engine.container.runtime=bare"], 1, "trtllm-build is missing"),
        (["deployment=e", "engine=llmapi"], 1, r"TensorRT-LLM 1\.2\.1 runs .*26\.04-trtllm-python"),
        (["action=burn"], 2, "action is burn: choose from preflight, build, list"),
        (["dry=perhaps"], 2, "dry is perhaps: choose from true, false"),
        (["engine=simulated", "server=embedded"], 2, "only engine=trtllm is built"),
    ],
)
def test_without_tensorrt_llm_one_line_says_what_is_missing(
    arguments: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert cli.main(arguments) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line)


def test_a_run_takes_a_built_engine_and_builds_none(node: Node) -> None:
    [config] = plan(node.overrides)
    with pytest.raises(ErError, match=r"is not built: run python -m er.build with deployment=b"):
        kinds.models(config)
    path = node.build()
    (model,) = kinds.models(config)
    assert model.name == "ensemble"
    assert model.parameters["engine_dir"] == str(path)
    assert int(model.parameters["largest_batch_at_512_tokens"]) > 1000
    predicted = request_of(config).memory.kv_tokens
    assert model.parameters["predicted_kv_pool_tokens"] == str(predicted)
    assert node.started() == BOTH
