"""Everything that is started on a node, for each deployment, engine and launcher, as values."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from er.compose import plan
from er.config import Config, Engine
from er.config.trtllm import ContainerEngine, Runtime
from er.engine import trtllm_build
from er.engine.names import model_names
from er.engine.trtllm import request_of
from er.errors import ConfigError
from er.process.launch import Launch
from er.server import trtllm_launch
from er.server.ports import Ports
from er.study import build_plan

CONF = Path(__file__).parents[3] / "conf"
ENGINES = sorted(
    path.stem for kind in ("trtllm", "llmapi") for path in CONF.glob(f"engine/{kind}*.yaml")
)
# Of Table I and made of its rows; smollm2 is refused with any engine but its own.
DEPLOYMENTS = sorted({path.stem for path in CONF.glob("deployment/*.yaml")} - {"smollm2"})
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


@cache
def every_engine() -> list[Engine]:
    """Every engine of TensorRT-LLM that `conf/` has."""
    texts = "engine.calibration=/texts"
    return [
        composed(name, "e", "docker", *([texts] if "smoothquant" in name else [])).engine
        for name in ENGINES
    ]


@cache
def every_config() -> list[Config]:
    """Every deployment of `conf/` on every engine that it can have."""
    found = []
    for deployment in DEPLOYMENTS:
        config = composed("trtllm", deployment, "docker")
        for engine in every_engine():
            try:
                build_plan.request_of(replace(config, engine=engine))
            except ConfigError:  # another width of weights
                continue
            found.append(replace(config, engine=engine))
    return found


def by(runtime: Runtime, config: Config, **changes: str) -> Config:
    """The same by another launcher; `changes` are those of its container."""
    engine = config.engine
    assert isinstance(engine, ContainerEngine)
    container = replace(engine.container, runtime=runtime, **changes)
    return replace(config, engine=replace(engine, container=container))


def every_launch(runtime: Runtime) -> Iterator[Launch]:
    """All that builds or serves an engine."""
    for config in every_config():
        mine = by(runtime, config)
        yield from launches_of(mine)
        if mine.engine.kind == "trtllm":
            yield from builds_of(mine)


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
