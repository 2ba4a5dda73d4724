"""Check what a node's container has and can do, by commands that run in it."""

import os
import re
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from er.config.trtllm import LlmapiEngine, TrtllmEngine
from er.engine.llmapi import LlmapiRequest
from er.engine.trtllm import EngineRequest
from er.errors import ErError
from er.process import container
from er.process.launch import Launch, Mpi, unique

CONTAINER_TIMEOUT_S = 900.0  # the first start of an image may unpack it
# Written in one call: lines that two ranks print may be mixed.
MPI_WORLD = (
    "import os; from mpi4py import MPI; os.write(1, b'world of %d\\n' % MPI.COMM_WORLD.size)"
)
VERSION = "from importlib.metadata import version; print('version', version('tensorrt_llm'))"
# Prints the status of cuInit, the CUDA version of the driver (12090 for 12.9), and that of the
# image, which NVIDIA's images have in their environment.
CUDA = (
    "import ctypes, os; cuda = ctypes.CDLL('libcuda.so.1'); status = cuda.cuInit(0); "
    "of_driver = ctypes.c_int(); cuda.cuDriverGetVersion(ctypes.byref(of_driver)); "
    "print('cuda', status, of_driver.value, os.environ.get('CUDA_VERSION') or '0')"
)
CONVERTERS = (  # of Triton's image, of TensorRT-LLM's release image, and of both from 0.20 on
    "/app/examples/llama/convert_checkpoint.py",
    "/app/tensorrt_llm/examples/llama/convert_checkpoint.py",
    "/app/examples/models/core/llama/convert_checkpoint.py",
    "/app/tensorrt_llm/examples/models/core/llama/convert_checkpoint.py",
)
MODELS = {TrtllmEngine: ("preprocessing", "postprocessing"), LlmapiEngine: ("tensorrt_llm",)}

Request = EngineRequest | LlmapiRequest


def files(request: Request) -> str:
    """Check that files which a container writes belong to this user, who can remove them."""
    folder = cache_dir(request)
    path = folder / f".preflight_{uuid.uuid4().hex}"
    try:
        inside(request, ["touch", str(path)], mounts=[folder])
        if not path.exists():
            raise ErError(f"what a container writes to {folder} is not seen here: share that disk")
        owner = path.stat().st_uid
        if owner != os.getuid():
            raise ErError(f"a container writes to {folder} as user {owner}, er is {os.getuid()}")
    finally:
        path.unlink(missing_ok=True)
    return f"written in the container to {folder} and removed here"


def paths(request: Request) -> str:
    """Check that the container has the programs and models that the configuration names."""
    engine = request.engine
    known = [engine.tritonserver]
    known += [f"{engine.model_code}/{name}/1/model.py" for name in MODELS[type(engine)]]
    known += [engine.convert_script] if isinstance(engine, TrtllmEngine) else []
    require(request, known)
    return f"{len(known)} paths are in the container"


def require(request: Request, paths: Sequence[str]) -> None:
    """Raise ErError, naming the converter that it has, unless the container has these paths."""
    script = 'for path in "$@"; do [ ! -e "$path" ] || echo "there $path"; done'
    lines = inside(request, ["sh", "-c", script, "sh", *paths, *CONVERTERS])
    there = {line.removeprefix("there ") for line in lines if line.startswith("there ")}
    missing = [path for path in paths if path not in there]
    if missing:
        found = [path for path in CONVERTERS if path in there]
        raise ErError(
            f"the container has no {', '.join(missing)}: set engine.convert_script, "
            "engine.model_code or engine.tritonserver to where this image has it"
            + (f" (a converter is at {found[0]})" if found else "")
        )


def version(request: Request) -> str:
    """Check that the container has the version of TensorRT-LLM that is configured."""
    wanted = request.engine.version
    lines = inside(request, ["python3", "-c", VERSION])
    found = next(
        (line.split()[1] for line in lines if line.startswith("version ")), "of no known version"
    )
    if found != wanted:
        raise ErError(f"the container has TensorRT-LLM {found}, engine.version is {wanted}")
    return f"TensorRT-LLM {found}"


def mpi(request: Request) -> str:
    """Check that two ranks form one MPI world; without PMI each would be a world of its own."""
    lines = inside(request, ["python3", "-c", MPI_WORLD], tasks=2, mpi=Mpi.ranks)
    worlds = re.findall(r"world of \d+", " ".join(lines))
    if worlds != ["world of 2"] * 2:
        raise ErError(
            f"two ranks print {worlds or lines[-1:]}, not twice a world of 2: under Slurm srun "
            "needs PMIx (srun --mpi=list) and Enroot its hook 50-slurm-pmi.sh"
        )
    return "two ranks are one world"


def cuda(request: Request) -> str:
    """Check that the node's driver is new enough for the image's CUDA."""
    lines = inside(request, ["python3", "-c", CUDA], gpus=(0,))
    found = next((line.split() for line in lines if line.startswith("cuda ")), None)
    if not found:
        raise ErError(f"CUDA gives no answer in the container: {' | '.join(lines[-3:])}")
    _, status, of_driver, of_image = found
    driver = f"{int(of_driver) // 1000}.{int(of_driver) % 1000 // 10}"
    if status != "0" or int(of_image.split(".")[0]) > int(of_driver) // 1000:
        raise ErError(
            f"the driver has CUDA {driver}, the image {of_image} (cuInit gives {status}): update "
            "the driver, or take an image of an older CUDA"
        )
    return f"the driver has {driver}, the image {of_image if of_image != '0' else 'reports none'}"


def inside(
    request: Request,
    command: Sequence[str],
    *,
    mounts: Sequence[Path] = (),
    tasks: int = 1,
    mpi: Mpi = Mpi.alone,
    gpus: tuple[int, ...] = (),
) -> list[str]:
    """The lines that a command prints in the container. Raises ErError when it fails."""
    engine = request.engine
    launch = Launch(
        name=unique("preflight"),
        command=tuple(command),
        log=Path(os.devnull),
        tasks=tasks,
        mpi=mpi,
        cpus=tasks,
        gpus=gpus,
        image=engine.container.image,
        mounts=tuple(mounts),
    )
    runtime = engine.container.runtime
    line = container.render(runtime, container.at_site(launch, engine.container))
    try:
        done = subprocess.run(
            line,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=CONTAINER_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ErError(f"{line[0]} cannot be run: {error}") from error
    finally:
        if end := container.end(runtime, launch):
            subprocess.run(end, capture_output=True, check=False)
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode:
        raise ErError(
            f"{command[0]} in the container ends with status {done.returncode}: "
            + " | ".join(lines[-3:])
        )
    return lines


def cache_dir(request: Request) -> Path:
    """The cache folder, which is made if it does not exist."""
    folder = Path(request.config.cache_dir).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ErError(f"{folder} cannot be made ({error.strerror}): set cache_dir") from error
    return folder
