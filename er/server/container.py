"""Serve TensorRT-LLM engines, of either flow, with the container's Triton: a server for each."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from er.config import Config, Server
from er.config.trtllm import ContainerEngine, LlmapiEngine, TrtllmEngine
from er.process import readiness
from er.process.container import running, with_links
from er.process.group import Child
from er.results.request import Endpoint, ServedModel
from er.server import llmapi_repository, trtllm_launch, trtllm_repository
from er.server.embedded import prove
from er.server.ports import HOST, reserved

MODEL = "ensemble"


@contextmanager
def serve(
    models: Sequence[ServedModel], config: Config, run_dir: Path, host: str = HOST, node: str = ""
) -> Iterator[list[Endpoint]]:
    """Serve `models`, the engines of a deployment on this node, each proved ready by an inference.

    All start at once, since loading takes minutes. `node` is the name of this node if the job has
    several. Writes `model_repository/` and `logs/` into `run_dir`. When the block ends, no process
    and no port is left. Raises ErError when a server cannot be started.
    """
    engine, server = config.engine, config.server
    assert isinstance(engine, ContainerEngine)
    repository = (run_dir / "model_repository").absolute()
    logs = run_dir / "logs"
    mounts = prepare(engine, models[0].parameters, repository)
    with ExitStack() as stack:
        ports = [stack.enter_context(reserved(server, at, host)) for at in range(len(models))]
        names = [model.name for model in models]
        places = trtllm_launch.places(names, config.deployment.tp, ports, node)
        children = [
            stack.enter_context(
                running(
                    engine.container.runtime,
                    trtllm_launch.launch(engine, place, repository, mounts, logs / log_name(place)),
                    title=f"Triton of {place.name}",
                    stop_timeout_s=server.stop_timeout_s,
                    shm_prefix=trtllm_launch.shm_prefix(place),
                )
            )
            for place in places
        ]
        yield wait_for(models, places, children, server)


def log_name(place: trtllm_launch.Place) -> str:
    """Name of the file with the output of an engine's server."""
    return f"triton_{place.name}.log"


def prepare(engine: ContainerEngine, parameters: Mapping[str, str], repository: Path) -> list[Path]:
    """Write the model repository of the engine's flow; returns the folders to be mounted."""
    if isinstance(engine, LlmapiEngine):
        arguments = json.loads(parameters["llm_arguments"])
        llmapi_repository.write(engine, arguments, repository)
        return [repository, *with_links(Path(arguments["model"]))]
    assert isinstance(engine, TrtllmEngine)
    engine_dir = Path(parameters["engine_dir"])
    trtllm_repository.write(engine, engine_dir, repository)
    return [repository, engine_dir, *with_links(Path(engine.checkpoint).absolute())]


def wait_for(
    models: Sequence[ServedModel],
    places: Sequence[trtllm_launch.Place],
    children: Sequence[Child],
    server: Server,
) -> list[Endpoint]:
    """The endpoint of every engine, once an inference has succeeded."""
    endpoints = []
    for model, place, child in zip(models, places, children, strict=True):

        def ready(url: str = f"{place.ports.base_url}/health/ready") -> bool:
            for each in children:
                each.require_alive()
            return readiness.answers(url)

        readiness.wait_until(ready, child, server.ready_timeout_s, "its engine to load")
        endpoint = place.ports.endpoint(MODEL, place.name)
        prove(endpoint, model.ready_max_tokens)
        endpoints.append(endpoint)
    return endpoints
