"""Checkpoints and images that a job will need, as far as the login node sees them."""

import subprocess
from pathlib import Path

from er.config import Config, SlurmCluster
from er.config.run import IN_CONTAINER
from er.config.trtllm import LlmapiEngine, Runtime, TrtllmEngine
from er.errors import ConfigError, ErError
from er.results import provenance

SUFFIXES = {Runtime.apptainer: ".sif", Runtime.pyxis: ".sqsh"}


def require_there(config: Config) -> None:
    """Raise ConfigError, as preflight would say it, when the checkpoint or the image is missing.

    Only paths in folders that nodes see too are looked at: others may be of the nodes alone.
    """
    if config.engine.kind not in IN_CONTAINER:
        return
    from er.study import build_plan, preflight  # loads much: not only to submit a prediction

    request = build_plan.request_of(config)
    try:
        if is_shared(checkpoint_of(config), config):
            preflight.weights(request)
        container = request.engine.container
        suffix = SUFFIXES.get(container.runtime)
        if suffix and container.image.endswith(suffix) and is_shared(container.image, config):
            preflight.image(request)
    except ErError as error:
        raise ConfigError(f"deployment.{config.deployment.id} cannot be served: {error}") from error


def require_shell(config: Config) -> None:
    """Raise ConfigError for a line of cluster.setup that bash cannot read: its job would end at
    once, after it has waited for its turn."""
    cluster = config.cluster
    for line in cluster.setup if isinstance(cluster, SlurmCluster) else ():
        read = subprocess.run(
            ["bash", "-n"], input=line, capture_output=True, text=True, check=False
        )
        if read.returncode:
            reason = read.stderr.strip().splitlines()[-1].removeprefix("bash: ")
            raise ConfigError(f"cluster.setup has '{line}', which bash cannot read: {reason}")


def checkpoint_of(config: Config) -> str:
    """The checkpoint that is converted, or served as it is."""
    engine = config.engine
    if isinstance(engine, LlmapiEngine):
        from er.engine import llmapi

        return str(llmapi.request_of(config).checkpoint)
    assert isinstance(engine, TrtllmEngine)
    return engine.checkpoint


def is_shared(path: str, config: Config) -> bool:
    """Whether it lies in a folder that jobs use under the same path."""
    shared = (Path.cwd(), provenance.ROOT, Path(config.runs_dir), Path(config.cache_dir))
    absolute = Path(path).absolute()
    return any(absolute.is_relative_to(folder.absolute()) for folder in shared)
