"""A build under a Docker whose daemon is root's, by a user who is not: whose files are left?"""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.standins import dockerd
from tests.standins.waiting import eventually
from tests.unit.engine.test_trtllm_build import FAKE, SHAPE

USER = pwd.getpwnam("nobody").pw_uid
pytestmark = pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("setpriv"), reason="only root can be another user"
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """The user's own, where others can reach it: pytest's are root's alone."""
    path = Path(tempfile.mkdtemp(prefix="er_docker_"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


class Node:
    def __init__(self, folder: Path, daemon: dockerd.Daemon) -> None:
        self.daemon = daemon
        self.cache = folder / "cache"
        self.cache.mkdir()
        os.chown(self.cache, USER, USER)
        self.engines = self.cache / "engines"
        image = folder / "image"
        for name in ("trtllm-build", "convert_checkpoint.py"):
            # In the image there is neither er nor its environment: each tool brings them.
            text = FAKE.read_text().replace("\nfrom er", f"\nsys.path[:0] = {sys.path}\nfrom er")
            (image / name).write_text(f"#!{sys.executable}\n{text}")
            (image / name).chmod(0o755)
        (folder / "nvidia-smi").write_text("#!/bin/sh\necho NVIDIA H100 80GB HBM3\n")
        (folder / "nvidia-smi").chmod(0o755)
        (folder / "calls").touch()
        (folder / "calls").chmod(0o666)
        checkpoint = folder / "hf"
        checkpoint.mkdir()
        shape = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
        (checkpoint / "config.json").write_text(json.dumps(shape | {"hidden_size": 32}))
        for name in ("tokenizer.json", "tokenizer_config.json", "model.safetensors"):
            (checkpoint / name).write_text(name)
        self.command = [
            *(sys.executable, "-m", "er.build", "deployment=e", "engine.container.runtime=docker"),
            *(f"deployment.model.{name}={value}" for name, value in SHAPE.items()),
            "deployment.model.embedding_parameters=100",
            f"engine.checkpoint={checkpoint}",
            f"engine.convert_script={image / 'convert_checkpoint.py'}",
            f"cache_dir={self.cache}",
        ]
        # Docker's client hands nothing of its own environment on: the image has these.
        dockerd.IMAGE_ENVIRONMENT.update(FAKE_TRTLLM_CALLS=str(folder / "calls"))
        self.environment = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(self.cache)}

    def build(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*dockerd.as_user(USER, USER), *self.command],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture
def node(folder: Path) -> Iterator[Node]:
    dockerd.IMAGE_ENVIRONMENT.clear()
    with dockerd.running(folder) as daemon:
        yield Node(folder, daemon)


def test_a_built_engine_belongs_to_the_user_and_nothing_else_is_left(node: Node) -> None:
    builder = node.build()
    output = builder.communicate(timeout=120)[0]
    assert builder.returncode == 0, output
    assert node.daemon.users == [USER] * 3  # a look at the image, then both tools
    assert {path.stat().st_uid for path in node.engines.rglob("*")} == {USER}
    assert list((node.engines / ".building").iterdir()) == []


def test_an_image_without_the_converter_is_refused_before_any_tool_runs(
    node: Node, folder: Path
) -> None:
    (folder / "image" / "convert_checkpoint.py").unlink()
    builder = node.build()
    output = builder.communicate(timeout=120)[0]
    assert builder.returncode == 1
    assert f"the container has no {folder}/image/convert_checkpoint.py: set engine." in output
    assert "running: " not in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_builder_that_is_ended_leaves_no_container(node: Node, number: int) -> None:
    dockerd.IMAGE_ENVIRONMENT["FAKE_TRTLLM"] = "deaf"
    builder = node.build()
    assert eventually(lambda: any(node.engines.glob(".building/*/engine/rank0.engine")))
    (container,) = node.daemon.running.values()
    builder.send_signal(number)
    builder.communicate(timeout=120)
    assert eventually(lambda: container.poll() is not None)
    assert eventually(lambda: not node.daemon.running)


def test_a_folder_that_cannot_be_removed_is_reported(node: Node) -> None:
    """As when an older version, or another user, built there as root."""
    builder = node.build()
    builder.communicate(timeout=120)
    (built,) = [path for path in node.engines.iterdir() if path.name[0] != "."]
    shutil.rmtree(built)
    roots = node.engines / ".building" / built.name / "engine"
    roots.mkdir(parents=True)
    (roots / "rank0.engine").touch()
    again = node.build()
    output = again.communicate(timeout=120)[0]
    assert again.returncode == 1
    assert f"cannot remove {node.engines}/.building" in output.splitlines()[-1]
