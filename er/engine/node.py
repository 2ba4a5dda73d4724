"""Check what a GPU node needs to run TensorRT-LLM."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from er.config.trtllm import ContainerEngine, Runtime
from er.engine import checkpoint
from er.errors import ErError
from er.process import container


def require_tools(engine: ContainerEngine, program: str) -> None:
    """Raise ErError, with advice, when TensorRT-LLM cannot be run here.

    `program` must be on PATH when er itself runs inside the container.
    """
    runtime = engine.container.runtime
    needed = container.program(runtime) or program
    if not shutil.which(needed):
        raise ErError(f"{needed} is missing: {how_to_get(engine)}")


@dataclass(frozen=True)
class Gpu:
    """One GPU, as nvidia-smi reports it."""

    index: int
    name: str
    driver: str
    total_bytes: float
    used_bytes: float


def gpus() -> list[Gpu]:
    """The GPUs of this machine. Raises ErError when nvidia-smi finds none."""
    fields = "index,name,driver_version,memory.total,memory.used"
    line = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ErError("nvidia-smi finds no GPU here: run this on the GPU node") from error
    rows = [[word.strip() for word in row.split(",")] for row in output.splitlines() if row]
    return [
        Gpu(int(index), name, driver, float(total_mib) * 2**20, float(used_mib) * 2**20)
        for index, name, driver, total_mib, used_mib in rows
    ]


def gpu_name(engine: ContainerEngine) -> str:
    """The name of this machine's first GPU. Raises ErError, with advice, when it has none."""
    line = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        output = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ErError(f"nvidia-smi finds no GPU here: {how_to_get(engine)}") from error
    return output.splitlines()[0].strip()


def container_digest(engine: ContainerEngine, cache_dir: Path) -> str:
    """The digest that identifies the container's contents.

    As configured, otherwise Docker's id of the image, or the SHA-256 of an image file; empty when
    it is unknown (the name of an image without Docker, or inside the container). Raises ErError
    when Docker does not have the image, since nothing is downloaded silently.
    """
    chosen = engine.container
    if chosen.digest or chosen.runtime is Runtime.bare:
        return chosen.digest
    if Path(chosen.image).is_file():
        file = Path(chosen.image).absolute()
        return checkpoint.digest(file.parent, [file], cache_dir / checkpoint.DIGESTS)
    if chosen.runtime is not Runtime.docker:
        return ""
    command = ["docker", "image", "inspect", "--format={{.Id}}", chosen.image]
    completed = subprocess.run(command, capture_output=True, text=True)
    if completed.returncode:
        reason = (completed.stderr.strip().splitlines() or ["no reason given"])[-1]
        if "daemon" in reason and "No such image" not in reason:
            raise ErError(
                f"docker cannot be used ({reason}): start it, or get permission to use it"
            )
        raise ErError(f"docker does not have the image ({reason}): run docker pull {chosen.image}")
    return completed.stdout.strip()


def how_to_get(engine: ContainerEngine) -> str:
    """Advice on how to run TensorRT-LLM."""
    return (
        f"TensorRT-LLM {engine.version} runs on a GPU node in the container "
        f"{engine.container.image}, with engine.container.runtime=docker, apptainer or pyxis, or "
        "bare where er runs inside it (python -m er.build with dry=true shows anywhere what would "
        "be done)"
    )
