"""What a GPU node needs before TensorRT-LLM can run on it."""

import shutil
import subprocess

from er import container
from er.config.trtllm import ContainerEngine, Runtime
from er.errors import ErError


def require_tools(engine: ContainerEngine, program: str) -> None:
    """Raise ErError, saying how to get it, when there is no way to run TensorRT-LLM here.

    `program` is what must be there inside the container.
    """
    image, runtime = engine.container.image, engine.container.runtime
    needed = program if runtime is Runtime.bare else container.PROGRAM[runtime]
    if not shutil.which(needed):
        raise ErError(
            f"TensorRT-LLM {engine.version} cannot be run here: {needed} is missing; on a "
            f"GPU node, use the container {image} with engine.container.runtime=docker, apptainer "
            "or pyxis, or run er inside it with bare (dry=true shows what would be done)"
        )


def gpu_name() -> str:
    """Name of the GPUs of this machine. Raises ErError when it has none."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise ErError(
            "TensorRT-LLM needs NVIDIA GPUs, and nvidia-smi finds none here: run this on a GPU "
            "node (python -m er.build with dry=true shows anywhere what would be done)"
        ) from error
    return done.stdout.splitlines()[0].strip()
