"""The digest that identifies the contents of a node's container."""

from pathlib import Path

import pytest

from er.compose import plan
from er.config.trtllm import ContainerEngine
from er.engine.node import container_digest
from er.errors import ErError


def engine(*overrides: str) -> ContainerEngine:
    [config] = plan(["engine=trtllm", "server=container", *overrides])
    assert isinstance(config.engine, ContainerEngine)
    return config.engine


def docker(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_the_digest_of_an_image_comes_from_docker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker(tmp_path, monkeypatch, 'echo "sha256:12 $4"')
    it = engine("engine.container.image=name:tag")
    assert container_digest(it, tmp_path) == "sha256:12 name:tag"
    it.container.digest = "sha256:34"
    assert container_digest(it, tmp_path) == "sha256:34"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("", r"run docker pull nvcr\.io/nvidia/tritonserver:25\.05-trtllm"),
        ("Error response from daemon: No such image: nvcr.io/x", "run docker pull nvcr"),
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is it running?",
            r"docker cannot be used \(Cannot connect .*\): start it, or get",
        ),
        ("permission denied while trying to connect to the Docker daemon socket", "cannot be used"),
    ],
)
def test_an_image_that_is_not_here_is_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str, expected: str
) -> None:
    docker(tmp_path, monkeypatch, f"echo '{message}' >&2; exit 1")
    with pytest.raises(ErError, match=expected):
        container_digest(engine(), tmp_path)


def test_the_digest_of_an_image_file_is_that_of_its_contents(tmp_path: Path) -> None:
    image = tmp_path / "triton.sif"
    image.write_text("one")
    it = engine("engine.container.runtime=apptainer", f"engine.container.image={image}")
    first = container_digest(it, tmp_path)
    image.write_text("other")
    assert len(first) == 64
    assert container_digest(it, tmp_path) != first


def test_an_image_whose_contents_are_unknown_has_no_digest(tmp_path: Path) -> None:
    for runtime in ("bare", "apptainer", "pyxis"):
        assert container_digest(engine(f"engine.container.runtime={runtime}"), tmp_path) == ""
