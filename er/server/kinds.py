"""Serve a deployment with the Triton of its kind: the wheel's anywhere, the container's on GPUs."""

import json
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path

from er.config import Config
from er.config.trtllm import ContainerEngine
from er.process import nodes
from er.results import names
from er.results.provenance import without_checkout
from er.results.request import Endpoint, ServedModel
from er.server import container, embedded, machine, ports, spread


def check(config: Config) -> None:
    """Raise ErError, saying how to fix it, when the server cannot start here."""
    if config.server.kind == "embedded":
        embedded.check()
        machine.check(
            Path(config.runs_dir), config.deployment.experts, max(config.load.concurrency)
        )
    with ports.reserved(config.server):
        pass


@contextmanager
def serve(models: list[ServedModel], config: Config, run_dir: Path) -> Iterator[list[Endpoint]]:
    """Serve `models` while the block lasts: one endpoint for each, proved by an inference.

    Writes `engine.json` (parameters of the engines, which are all alike) and `endpoints.json` into
    `run_dir`.
    Raises ErError when a server cannot be started.
    """
    for folder in ("model_repository", "backends"):  # of an earlier command on the same run
        shutil.rmtree(run_dir / folder, ignore_errors=True)
    recorded = {name: without_checkout(value) for name, value in models[0].parameters.items()}
    (run_dir / names.ENGINE).write_text(json.dumps(recorded, indent=1))
    with serving(models, config, run_dir) as endpoints:
        (run_dir / names.ENDPOINTS).write_text(json.dumps(list(map(asdict, endpoints)), indent=1))
        yield endpoints


def serving(
    models: list[ServedModel], config: Config, run_dir: Path
) -> AbstractContextManager[list[Endpoint]]:
    """Serve all models, on one node or spread over several."""
    # A load generator on another node reaches the gateway, which is on this node.
    host = ports.HOST if config.deployment.routed else nodes.host(config.cluster)
    further = nodes.further(config.cluster)
    if further:
        return spread.serve(started, models, config, run_dir, further)
    return started(models, config, run_dir, host)


def started(
    models: list[ServedModel], config: Config, run_dir: Path, host: str
) -> AbstractContextManager[list[Endpoint]]:
    """Serve models on this node, reached under `host`, with the server of the engine's kind."""
    if isinstance(config.engine, ContainerEngine):
        node = nodes.own() if nodes.further(config.cluster) else ""
        return container.serve(models, config, run_dir, host, node)
    return embedded.serve(models, config.server, run_dir, host)
