"""A tiny Llama with random weights through the flow of the TensorRT-LLM that is installed."""

import json
import subprocess
from pathlib import Path

import pytest

from er import build
from er.compose import plan
from er.engine import kinds
from er.load.users import run_point
from er.results.request import Prompt
from er.server import kinds as servers

pytestmark = pytest.mark.gpu

TOLD = subprocess.run(
    ["python3", "-c", "from importlib.metadata import version; print(version('tensorrt_llm'))"],
    capture_output=True,
    text=True,
)
VERSION = TOLD.stdout.strip()
FLOW = {"0.19.0": "trtllm", "1.2.1": "llmapi"}[VERSION]
# Shape of tests/gpu/tiny_llama.py.
SHAPE = {"layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 64}
PARAMETERS = {"parameters": 1_246_000, "embedding_parameters": 65_536}
USERS = 4


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("node")
    script = Path(__file__).parent / "tiny_llama.py"
    subprocess.run(["python3", script, folder / "hf"], check=True)
    return [
        f"engine={FLOW}",
        "server=container",
        "engine.container.runtime=bare",
        f"engine.checkpoint={folder / 'hf'}",
        f"cache_dir={folder / 'cache'}",
        "deployment=e",
        "deployment.experts=1",
        *(f"deployment.model.{name}={value}" for name, value in {**SHAPE, **PARAMETERS}.items()),
        "engine.max_batch_size=8",
        "engine.max_num_tokens=512",
        "engine.max_input_len=256",
        "engine.max_seq_len=512",
        "engine.kv_cache_free_gpu_mem_fraction=0.2",
        f"load.concurrency=[{USERS}]",
    ]


def test_the_tables_are_those_of_the_installed_version(overrides: list[str]) -> None:
    assert build.main(["action=options", *overrides]) == 0


def test_built_and_served(overrides: list[str], tmp_path: Path) -> None:
    assert build.main(overrides) == 0
    [config] = plan(overrides)
    prompts = [Prompt(text, "", len(text), 32) for text in ("Once upon a time", "What is 2 + 2?")]
    with servers.serve(kinds.models(config), config, tmp_path) as (endpoint,):
        load = run_point(endpoint, prompts, USERS, config.load, lambda _: None)
    assert {request.error for request in load.requests} == {""}
    for request in load.requests:
        assert 1 <= request.output_tokens <= 32
        assert len(request.text) <= request.output_tokens, "an event repeats earlier text"
    assert json.loads((tmp_path / "engine.json").read_text())["largest_batch_at_512_tokens"]


def test_a_built_engine_is_reused(overrides: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(overrides) == 0
    out = capsys.readouterr().out
    assert "reused: " in out if FLOW == "trtllm" else "nothing to build" in out
