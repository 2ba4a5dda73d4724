"""Mounts and PMI of a site's settings, in every program that is started in a container."""

from pathlib import Path

import pytest

from er.compose import plan
from er.config.trtllm import ContainerEngine, Runtime
from er.errors import ConfigError
from er.process import container
from er.process.launch import Launch, Mpi

REAL = ["deployment=b", "engine=trtllm", "server=container", "engine.container.runtime=pyxis"]


def test_mounts_and_mpi_of_a_site() -> None:
    site = ["engine.container.mounts=[/shared/models]", "engine.container.mpi=pmix_v4"]
    [config] = plan([*REAL, *site])
    assert isinstance(config.engine, ContainerEngine)
    ranks = Launch(
        "x", ("serve",), Path("log"), tasks=2, mpi=Mpi.ranks, cpus=2, mounts=(Path("/engine"),)
    )

    line = container.render(Runtime.pyxis, container.at_site(ranks, config.engine.container))

    assert "--mpi=pmix_v4" in line
    assert "--container-mounts=/engine:/engine,/shared/models:/shared/models" in line


@pytest.mark.parametrize("value", ["mounts=[models]", "mounts=['/a:/b']", "mpi='a b'"])
def test_what_no_container_takes_is_refused(value: str) -> None:
    name = value.partition("=")[0]
    with pytest.raises(ConfigError, match=f"engine.container.{name} "):
        plan([*REAL, f"engine.container.{value}"])
