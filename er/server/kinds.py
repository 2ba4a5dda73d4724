"""Which Triton serves a deployment: the wheel's on any machine, the container's on a GPU node."""

from contextlib import AbstractContextManager
from pathlib import Path

from er.config import Config
from er.config.trtllm import TrtllmEngine
from er.errors import ConfigError
from er.results import Endpoint, ServedModel
from er.server import container, embedded


def check(config: Config) -> None:
    """Raise ErError, naming the mend, when the server cannot start here."""
    require_match(config)
    if config.server.kind == "embedded":
        embedded.check()
    with embedded.reserved_port(config.server.http_port):
        pass


def serve(
    models: list[ServedModel], config: Config, run_dir: Path
) -> AbstractContextManager[list[Endpoint]]:
    """Serve `models` while the block lasts: one endpoint for each, proved by a real inference.

    Raises ErError when a server cannot be started.
    """
    require_match(config)
    if isinstance(config.engine, TrtllmEngine):
        return container.serve(models, config.deployment, config.engine, config.server, run_dir)
    return embedded.serve(models, config.server, run_dir)


def require_match(config: Config) -> None:
    """Raise ConfigError unless engine and server go together."""
    needs = "container" if isinstance(config.engine, TrtllmEngine) else "embedded"
    if config.server.kind != needs:
        raise ConfigError(
            f"engine={config.engine.kind} needs server={needs}, server.kind is {config.server.kind}"
        )
