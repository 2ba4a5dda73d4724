"""A tiny Llama with random weights through the flow of the TensorRT-LLM that is installed.

Run inside its container, on a GPU; elsewhere it says that it has not been run.
"""

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from er import build
from er.compose import plan
from er.engine import kinds, node
from er.load import gpus, server_watch
from er.load.users import run_point
from er.results.request import Endpoint, Prompt
from er.server import kinds as servers
from er.study.measured import gpus_of
from tests.embedded.conftest import Stream

pytestmark = pytest.mark.gpu

if missing := [name for name in ("nvidia-smi", "mpirun", "python3") if not shutil.which(name)]:
    pytest.skip(f"not run: no {', '.join(missing)} here", allow_module_level=True)
SAID = subprocess.run(
    ["python3", "-c", "from importlib.metadata import version; print(version('tensorrt_llm'))"],
    capture_output=True,
    text=True,
)
if SAID.returncode:
    pytest.skip(
        "not run: python3 has no TensorRT-LLM (tests/gpu/measure_kernels.py needs PyTorch alone)",
        allow_module_level=True,
    )
VERSION = SAID.stdout.strip()
FLOWS = {"0.19.0": "trtllm", "1.2.1": "llmapi"}
assert VERSION in FLOWS, f"TensorRT-LLM {VERSION} is here: these tests know {', '.join(FLOWS)}"
FLOW = FLOWS[VERSION]
# Shape of tests/gpu/tiny_llama.py.
SHAPE = {"layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 64}
PARAMETERS = {"parameters": 1_246_000, "embedding_parameters": 65_536}
USERS = 4
TOKENS = 32
LEFT_BYTES = 100e6  # that the driver may take its time to give back


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("node")
    script = Path(__file__).parent / "tiny_llama.py"
    subprocess.run(["python3", script, folder / "hf"], check=True)
    return folder / "hf"


@pytest.fixture(scope="module", params=[1, 2], ids=["tp1", "tp2"])
def overrides(request: pytest.FixtureRequest, checkpoint: Path) -> list[str]:
    if len(node.gpus()) < request.param:
        pytest.skip(f"needs {request.param} GPUs")
    return [
        f"engine={FLOW}",
        "server=container",
        "engine.container.runtime=bare",
        f"engine.checkpoint={checkpoint}",
        f"cache_dir={checkpoint.parent / 'cache'}",
        "deployment=e",
        "deployment.experts=1",
        f"deployment.tp={request.param}",
        *(f"deployment.model.{name}={value}" for name, value in {**SHAPE, **PARAMETERS}.items()),
        "engine.max_batch_size=8",
        "engine.max_num_tokens=512",
        "engine.max_input_len=256",
        "engine.max_seq_len=512",
        "engine.kv_cache_free_gpu_mem_fraction=0.2",
        f"load.concurrency=[{USERS}]",
    ]


def used_bytes() -> float:
    return sum(gpu.used_bytes for gpu in node.gpus())


def test_the_tables_are_those_of_the_installed_version(overrides: list[str]) -> None:
    assert build.main(["action=options", *overrides]) == 0


def test_the_node_has_what_it_needs(overrides: list[str]) -> None:
    assert build.main(["action=preflight", *overrides]) == 0


def test_built_and_served(overrides: list[str], tmp_path: Path) -> None:
    before_bytes = used_bytes()
    assert build.main(overrides) == 0
    [config] = plan(overrides)
    texts = ("Once upon a time", "What is 2 + 2?")
    forced = [Prompt(text, "", len(text), TOKENS) for text in texts]
    free = [Prompt(text, "", len(text), TOKENS, stop_at_eos=True) for text in texts]
    with servers.serve(kinds.models(config), config, tmp_path) as (endpoint,):
        with (
            server_watch.watch_servers([endpoint]) as watch,
            gpus.watch_gpus(gpus_of(config)) as gpu_watch,
        ):
            load = run_point(endpoint, forced, USERS, config.load, lambda _: None)
            time.sleep(2 * server_watch.INTERVAL_S)
        ended = run_point(endpoint, free, USERS, config.load, lambda _: None)
        require_that_an_end_token_ends(endpoint)
    assert {request.error for request in load.requests} == {""}
    assert {request.output_tokens for request in load.requests} == {TOKENS}
    for request in load.requests:
        assert len(request.text) <= request.output_tokens, "an event repeats earlier text"
    assert {request.error for request in ended.requests} <= {"", "no tokens"}
    assert all(request.output_tokens <= TOKENS for request in ended.requests)
    engine = json.loads((tmp_path / "engine.json").read_text())
    if FLOW == "trtllm":  # the LLM API's Triton model has no such metrics
        pool = watch.evidence()["server_kv_pool_tokens"]
        print(f"KV pool: {pool:.0f} tokens, predicted {engine['predicted_kv_pool_tokens']}")
        assert pool > USERS * TOKENS
    said = gpu_watch.evidence(sum(request.output_tokens for request in load.requests))
    assert said["gpu_memory_used_max_bytes"] > 0
    assert said["gpu_energy_per_token_j"] > 0
    deadline = time.monotonic() + 60
    while used_bytes() > before_bytes + LEFT_BYTES:
        assert time.monotonic() < deadline, "memory is left on a GPU"
        time.sleep(1)


def require_that_an_end_token_ends(endpoint: Endpoint) -> None:
    """Lengths are forced only if the model would have ended: here any of its tokens can end it."""
    whole = Stream(endpoint, "Once", TOKENS, end_id=-1).texts
    assert len(whole) == TOKENS
    first = next(text for text in whole if text)
    cut = Stream(endpoint, "Once", TOKENS, end_id=ord(first)).texts
    assert len([text for text in cut if text]) <= whole.index(first) + 1


def test_a_built_engine_is_reused(overrides: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(overrides) == 0
    out = capsys.readouterr().out
    assert "reused: " in out if FLOW == "trtllm" else "nothing to build" in out
