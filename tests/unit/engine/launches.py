"""What is started on a node, of every deployment, engine and launcher, as values."""

from functools import cache
from pathlib import Path

from er.compose import plan
from er.config import Config
from er.config.trtllm import ContainerEngine
from er.engine import trtllm_build
from er.engine.names import model_names
from er.engine.trtllm import request_of
from er.process.launch import Launch
from er.server import trtllm_launch
from er.server.ports import Ports

LOG = Path("/run/logs/triton.log")
MOUNTS = [Path("/run/model_repository"), Path("/engines/it"), Path("/checkpoint")]


@cache
def composed(engine: str, deployment: str, runtime: str, *overrides: str) -> Config:
    """The configuration of one deployment on a node."""
    [config] = plan(
        [
            f"engine={engine}",
            "server=container",
            f"deployment={deployment}",
            f"engine.container.runtime={runtime}",
            *overrides,
        ]
    )
    assert isinstance(config.engine, ContainerEngine)
    return config


def places_of(config: Config) -> list[trtllm_launch.Place]:
    """Where its engines stand."""
    ports = [Ports(8000 + i, 8100 + i, 8200 + i) for i in range(8)]
    return trtllm_launch.places(model_names(config.deployment), config.deployment.tp, ports)


def launches_of(config: Config) -> list[Launch]:
    """What serves its engines."""
    engine = config.engine
    assert isinstance(engine, ContainerEngine)
    return [
        trtllm_launch.launch(engine, place, MOUNTS[0], MOUNTS, LOG) for place in places_of(config)
    ]


def builds_of(config: Config) -> list[Launch]:
    """What builds its engine."""
    request = request_of(config)
    source, work = Path("/checkpoint"), Path("/cache/engines/.building/it")
    return [
        trtllm_build.launch_of(request, command, source, work, LOG)
        for command in trtllm_build.steps(request, source, work)
    ]
