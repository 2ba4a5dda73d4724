"""The repository for TensorRT-LLM, as it is rendered for a node, in a real tritonserver.

Stand-ins take the place of the container's Python models and of the C++ backend; configurations,
ensemble, launcher and client are the real ones.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from nodes import own_container
from processes import processes_naming

from er.compose import plan
from er.config import Config, Load
from er.engine.names import model_names
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
    """A node that is its own container, whose tritonserver knows the stand-in for the backend."""
    tritonserver = own_container(folder)
    engine = folder / "engine"
    engine.mkdir()
    (engine / "config.json").write_text("{}")
    (folder / "hf").mkdir()
    [config] = plan(
        [
            "engine=trtllm",
            "server=container",
            "server.ready_timeout_s=60",
            "engine.container.runtime=bare",
            "deployment=e",
            "deployment.experts=2",
            f"engine.tritonserver={tritonserver}",
            f"engine.model_code={STANDINS / 'models'}",
            f"engine.checkpoint={folder / 'hf'}",
        ]
    )
    return config


def serve(config: Config, folder: Path) -> Any:
    parameters = {"engine_dir": str(folder / "engine"), "largest_batch_at_512_tokens": "9"}
    names = model_names(config.deployment)
    return serve_models([ServedModel(name, "", 8, parameters, 2) for name in names], config, folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("node")


@pytest.fixture(scope="module", autouse=True)
def endpoints(folder: Path) -> Iterator[list[Endpoint]]:
    with serve(node(folder), folder) as endpoints:
        yield endpoints
    assert processes_naming(str(folder)) == []
    for endpoint in endpoints:
        assert list(Path("/dev/shm").glob(f"er_*_{urlsplit(endpoint.url).port}_*")) == []


def test_every_expert_has_a_server_of_its_own(endpoints: list[Endpoint]) -> None:
    assert [endpoint.model for endpoint in endpoints] == ["expert_0", "expert_1"]
    assert len({endpoint.url for endpoint in endpoints}) == 2


def test_the_run_records_the_engine(folder: Path) -> None:
    recorded = json.loads((folder / "engine.json").read_text())
    assert recorded["largest_batch_at_512_tokens"] == "9"


def test_streams_one_event_per_token(endpoints: list[Endpoint], stream: Any) -> None:
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


def test_takes_every_field_of_the_contract(endpoints: list[Endpoint], stream: Any) -> None:
    more = {
        "bad_words": ["x"],
        "stop_words": ["y"],
        "top_p": 0.9,
        "end_id": 2,
        "return_perf_metrics": False,
    }
    assert stream(endpoints[0], "a bb", 2, **more).texts == ["1", "2"]


def test_an_engine_that_cannot_be_loaded_is_reported_at_once(tmp_path: Path) -> None:
    config = node(tmp_path)
    (tmp_path / "engine" / "config.json").unlink()
    with pytest.raises(ErError, match=r"^Triton of expert_. stopped .*config\.json"):
        serve(config, tmp_path).__enter__()
    assert processes_naming(str(tmp_path)) == []
