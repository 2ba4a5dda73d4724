"""The repository for TensorRT-LLM, as it is rendered for a node, in a real tritonserver.

Stand-ins take the place of the container's Python models and of the C++ backend; configurations,
ensemble, launcher and client are the real ones.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import processes_naming

from er.config import Config, Server
from er.config_trtllm import TrtllmEngine
from er.errors import ErError
from er.results import Endpoint
from er.server import container, embedded
from er.sweep import plan

pytestmark = pytest.mark.embedded

STANDINS = Path(__file__).parent / "standins"
SERVER = Server("container", 60, 15, 0)


def node(folder: Path) -> Config:
    """A node that is its own container, whose tritonserver knows the stand-in for the backend."""
    embedded.link_backend(folder / "linked")
    # A backend written in Python may not be a link out of its directory.
    shutil.copytree(folder / "linked", folder / "backends")
    shutil.copytree(STANDINS / "backend", folder / "backends" / "tensorrtllm")
    tritonserver = folder / "tritonserver"
    variables = "\n".join(
        f"export {name}='{value}'"
        for name, value in embedded.environment().items()
        if name in ("PATH", "LD_LIBRARY_PATH")
    )
    tritonserver.write_text(
        f"#!/bin/sh\n{variables}\n"
        f'exec {embedded.tritonserver()} --backend-directory={folder / "backends"} "$@"\n'
    )
    tritonserver.chmod(0o755)
    engine = folder / "engine"
    engine.mkdir()
    (engine / "config.json").write_text("{}")
    (folder / "hf").mkdir()
    [config] = plan(
        [
            "engine=trtllm",
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
    assert isinstance(config.engine, TrtllmEngine)
    return container.serve(config.deployment, config.engine, folder / "engine", SERVER, folder)


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Endpoint]]:
    folder = tmp_path_factory.mktemp("node")
    with serve(node(folder), folder) as endpoints:
        yield endpoints
    assert processes_naming(str(folder)) == []
    assert list(Path("/dev/shm").glob("er_*_0_*")) == []


def test_every_expert_has_a_server_of_its_own(endpoints: list[Endpoint]) -> None:
    assert [endpoint.model for endpoint in endpoints] == ["expert_0", "expert_1"]
    assert len({endpoint.url for endpoint in endpoints}) == 2


def test_streams_one_event_per_token(endpoints: list[Endpoint], stream: Any) -> None:
    for endpoint in endpoints:
        answer = stream(endpoint, "a bb ccc", 60, temperature=0.5, random_seed=1)
        assert answer.texts == ["1", "2", "3"] * 20


def test_takes_every_field_of_the_contract(endpoints: list[Endpoint], stream: Any) -> None:
    more = {
        "bad_words": ["x"],
        "stop_words": ["y"],
        "top_p": 0.9,
        "end_id": 2,
        "return_perf_metrics": False,
    }
    assert stream(endpoints[0], "a bb", 2, **more).texts == ["1", "2"]


def test_an_engine_that_cannot_be_loaded_is_told_at_once(tmp_path: Path) -> None:
    config = node(tmp_path)
    (tmp_path / "engine" / "config.json").unlink()
    with pytest.raises(ErError, match=r"^Triton of expert_. stopped .*config\.json"):
        serve(config, tmp_path).__enter__()
    assert processes_naming(str(tmp_path)) == []
