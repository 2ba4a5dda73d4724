"""The repository of the LLM-API flow, as it is rendered for a node, in a real tritonserver.

A stand-in takes the place of the container's Python model; our model over it, the configurations,
the ensemble, launcher and client are the real ones.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from nodes import own_container
from processes import processes_naming

from er.compose import plan
from er.config import Config, Load
from er.engine import llmapi
from er.errors import ErError
from er.load.users import run_point
from er.results.request import Endpoint, Prompt, ServedModel
from er.server.kinds import serve as serve_models

pytestmark = pytest.mark.embedded

STANDINS = Path(__file__).parent / "standins"
LOAD = Load(
    name="test",
    concurrency=[1],
    requests_per_user=1,
    requests_at_least=1,
    warmup_requests_per_user=0,
    request_timeout_s=30,
    gateway_probes=0,
    max_token_lateness=1,
    max_loop_lag_s=1,
)


def node(folder: Path) -> Config:
    """A node that is its own container, with a checkpoint and an mpirun that runs what it gets."""
    own_container(folder)
    (folder / "hf").mkdir()
    (folder / "hf" / "config.json").write_text("{}")
    [config] = plan(
        [
            "engine=llmapi",
            "server=container",
            "server.ready_timeout_s=60",
            "engine.container.runtime=bare",
            "deployment=e",
            "deployment.experts=2",
            f"engine.tritonserver={folder / 'tritonserver'}",
            f"engine.model_code={STANDINS / 'llmapi'}",
            f"engine.checkpoint={folder / 'hf'}",
        ]
    )
    return config


def serve(config: Config, folder: Path) -> Any:
    arguments = llmapi.arguments(llmapi.request_of(config))
    parameters = {"llm_arguments": json.dumps(arguments)}
    names = ("expert_0", "expert_1")
    return serve_models([ServedModel(name, "", 8, parameters, 2) for name in names], config, folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("node")


@pytest.fixture(scope="module", autouse=True)
def mpirun(folder: Path) -> Iterator[None]:
    """An mpirun of one rank: it runs what comes after `-n 1`."""
    program = folder / "bin" / "mpirun"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport os, sys\n"
        "words = sys.argv[sys.argv.index('-n') + 2 :]\nos.execvp(words[0], words)\n"
    )
    program.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(program.parent), prepend=":")
        yield


@pytest.fixture(scope="module")
def endpoints(folder: Path) -> Iterator[list[Endpoint]]:
    with serve(node(folder), folder) as endpoints:
        yield endpoints
    assert processes_naming(str(folder)) == []
    for endpoint in endpoints:
        assert list(Path("/dev/shm").glob(f"er_*_{urlsplit(endpoint.url).port}_*")) == []


def test_every_event_is_one_piece_of_the_text(endpoints: list[Endpoint], stream: Any) -> None:
    assert [endpoint.model for endpoint in endpoints] == ["expert_0", "expert_1"]
    for endpoint in endpoints:
        answer = stream(endpoint, "a bb ccc", 60, temperature=0.5, random_seed=1)
        assert answer.texts == ["1", "2", "3"] * 20


def test_an_answer_ends_where_the_model_ends_it_unless_its_length_is_forced(
    endpoints: list[Endpoint], stream: Any
) -> None:
    assert stream(endpoints[0], "end bb c", 9).texts == ["3", "2", "1", ""]
    assert stream(endpoints[0], "end bb c", 9, end_id=-1).texts == ["3", "2", "1"] * 3
    (free, forced) = (
        run_point(
            endpoints[0], [Prompt("end bb c", "", 3, 9, stop_at_eos=stop)], 1, LOAD, lambda _: None
        ).requests
        for stop in (True, False)
    )
    assert [(request.output_tokens, request.error) for request in free] == [(3, "")]
    assert [(request.output_tokens, request.error) for request in forced] == [(9, "")]


def test_takes_the_fields_of_the_contract_that_the_llm_api_has(
    endpoints: list[Endpoint], stream: Any
) -> None:
    assert stream(endpoints[0], "a bb", 2, stop_words=["y"], top_p=0.9).texts == ["1", "2"]


def test_a_checkpoint_that_cannot_be_loaded_is_reported_at_once(tmp_path: Path) -> None:
    config = node(tmp_path)
    (tmp_path / "hf" / "config.json").unlink()
    with pytest.raises(ErError, match=r"^Triton of expert_. stopped .*no config\.json in"):
        serve(config, tmp_path).__enter__()
    assert processes_naming(str(tmp_path)) == []
