"""Whether a node can build and serve a deployment, one line for each thing that it needs."""

import fcntl
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil

from er.config.trtllm import LlmapiEngine, Runtime, TrtllmEngine
from er.engine import checkpoint, node
from er.engine.cache import lock
from er.engine.llmapi import LlmapiRequest
from er.engine.trtllm import EngineRequest
from er.errors import ErError
from er.process import container
from er.process.launch import Launch, Mpi, unique
from er.process.launchers import pyxis
from er.server import ports

CONTAINER_TIMEOUT_S = 900.0  # the first start of an image may unpack it
IDLE_BYTES = 2e9  # of a GPU's memory: more is another program's
NOTHING_BUILT = "nothing is built"
MPI_WORLD = "from mpi4py import MPI; print('world of', MPI.COMM_WORLD.size)"
VERSION = "from importlib.metadata import version; print('version', version('tensorrt_llm'))"
CONVERTERS = (  # of Triton's image, of TensorRT-LLM's release image, and of both from 0.20 on
    "/app/examples/llama/convert_checkpoint.py",
    "/app/tensorrt_llm/examples/llama/convert_checkpoint.py",
    "/app/examples/models/core/llama/convert_checkpoint.py",
    "/app/tensorrt_llm/examples/models/core/llama/convert_checkpoint.py",
)
MODELS = {TrtllmEngine: ("preprocessing", "postprocessing"), LlmapiEngine: ("tensorrt_llm",)}

Request = EngineRequest | LlmapiRequest


def check(request: Request, say: Callable[[str], None]) -> bool:
    """Look at everything, whatever is missing, and say it; whether all holds."""
    say(f"deployment {request.config.deployment.id} on this node:")
    fine = True
    for name, look in CHECKS.items():
        try:
            say(f"ok      {name}: {look(request)}")
        except ErError as error:
            fine = False
            say(f"MISSING {name}: {error}")
    return fine


def launcher(request: Request) -> str:
    """The program that starts containers here."""
    engine = request.engine
    node.require_tools(engine, engine.tritonserver)
    if engine.container.runtime is Runtime.pyxis and not os.environ.get("SLURM_JOB_ID"):
        raise ErError("pyxis starts steps of a Slurm job: run er inside one (salloc or sbatch)")
    return engine.container.runtime.value


def image(request: Request) -> str:
    """That the image is on this node, so that no start fetches or converts it."""
    name, runtime = request.engine.container.image, request.engine.container.runtime
    if runtime is Runtime.bare:
        return "er runs inside it"
    if runtime is Runtime.docker:
        return f"{name} {node.container_digest(request.engine, Path(request.config.cache_dir))}"
    suffix, make = {
        Runtime.apptainer: (".sif", f"apptainer build triton.sif docker://{name}"),
        Runtime.pyxis: (".sqsh", f"enroot import -o triton.sqsh docker://{pyxis.image(name)}"),
    }[runtime]
    if not name.endswith(suffix):
        raise ErError(
            f"{name} would be fetched and converted at every start: run {make} once, and set "
            f"engine.container.image to that file"
        )
    if not Path(name).is_file():
        raise ErError(f"{name} is no file: run {make.replace(name, 'IMAGE')} once")
    return name


def gpus(request: Request) -> str:
    """Check that there are enough idle GPUs of one kind for the deployment."""
    need = request.config.deployment.gpus
    rows = node.gpus()
    if len(rows) < need:
        raise ErError(f"{len(rows)} GPUs here, deployment needs {need}: choose another node")
    if len({gpu.name for gpu in rows[:need]}) > 1:
        raise ErError("the GPUs are of several kinds: choose a node of one")
    busy = [gpu for gpu in rows[:need] if gpu.used_bytes > IDLE_BYTES]
    if busy:
        names = ", ".join(f"{gpu.index} ({gpu.used_bytes / 1e9:.1f} GB)" for gpu in busy)
        raise ErError(f"other programs hold memory of GPU {names}: end them (nvidia-smi)")
    first = rows[0]
    return f"{len(rows)} x {first.name}, {first.total_bytes / 1e9:.1f} GB, driver {first.driver}"


def host_memory(request: Request) -> str:
    """An estimate, which a build may pass for a moment."""
    if isinstance(request, LlmapiRequest):
        return NOTHING_BUILT
    have, need = psutil.virtual_memory().available, request.memory.build_host_bytes
    if have < need:
        raise ErError(
            f"{have / 1e9:.0f} GB of the host's memory are free, a build takes up to some "
            f"{need / 1e9:.0f} GB: end other programs, or ask for a whole node"
        )
    return f"{have / 1e9:.0f} GB free, a build takes up to some {need / 1e9:.0f} GB"


def disk(request: Request) -> str:
    """Room for the engine and, while it is built, the converted checkpoint."""
    if isinstance(request, LlmapiRequest):
        return NOTHING_BUILT
    folder = cache_dir(request)
    need, have = request.memory.build_disk_bytes, shutil.disk_usage(folder).free
    if have < need:
        raise ErError(
            f"{folder} has {have / 1e9:.0f} GB free, a build takes {need / 1e9:.0f} GB: "
            "make room, or set cache_dir to another disk"
        )
    return f"{have / 1e9:.0f} GB free in {folder}, a build takes {need / 1e9:.0f} GB"


def flock(request: Request) -> str:
    """Locks that keep two builders apart."""
    path = cache_dir(request) / f".preflight_{uuid.uuid4().hex}"
    try:
        with path.open("w") as file:
            lock(file, path.parent)
            fcntl.flock(file, fcntl.LOCK_UN)
    finally:
        path.unlink(missing_ok=True)
    return "works"


def files(request: Request) -> str:
    """What a container writes must be ours to remove."""
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
    """The programs and models that the configuration names, inside the container."""
    engine = request.engine
    known = [engine.tritonserver]
    known += [f"{engine.model_code}/{name}/1/model.py" for name in MODELS[type(engine)]]
    known += [engine.convert_script] if isinstance(engine, TrtllmEngine) else []
    script = 'for path in "$@"; do [ ! -e "$path" ] || echo "there $path"; done'
    lines = inside(request, ["sh", "-c", script, "sh", *known, *CONVERTERS])
    there = {line.removeprefix("there ") for line in lines if line.startswith("there ")}
    missing = [path for path in known if path not in there]
    if missing:
        found = [path for path in CONVERTERS if path in there]
        raise ErError(
            f"the container has no {', '.join(missing)}: set engine.convert_script, "
            "engine.model_code or engine.tritonserver to where this image has it"
            + (f" (a converter is at {found[0]})" if found else "")
        )
    return f"{len(known)} paths are in the container"


def version(request: Request) -> str:
    """That of the tables against which commands and arguments were checked."""
    wanted = request.engine.version
    lines = inside(request, ["python3", "-c", VERSION])
    found = next(
        (line.split()[1] for line in lines if line.startswith("version ")), "of no known version"
    )
    if found != wanted:
        raise ErError(f"the container has TensorRT-LLM {found}, engine.version is {wanted}")
    return f"TensorRT-LLM {found}"


def mpi(request: Request) -> str:
    """Two ranks must find each other: without PMI each would be a world of its own."""
    lines = inside(request, ["python3", "-c", MPI_WORLD], tasks=2, mpi=Mpi.ranks)
    worlds = [line for line in lines if line.startswith("world of")]
    if worlds != ["world of 2"] * 2:
        raise ErError(
            f"two ranks say {worlds or lines[-1:]}, not twice a world of 2: under Slurm srun needs "
            "PMIx (srun --mpi=list) and Enroot its hook 50-slurm-pmi.sh"
        )
    return "two ranks are one world"


def weights(request: Request) -> str:
    """The checkpoint, complete and of the deployment's model; its contents are not read here."""
    served = request.checkpoint if isinstance(request, LlmapiRequest) else request.engine.checkpoint
    found = checkpoint.complete(Path(served), request.config.deployment.model)
    return f"{served}, {sum(file.stat().st_size for file in found) / 1e9:.1f} GB"


def free_ports(request: Request) -> str:
    """Those of all engines."""
    experts = request.config.deployment.experts
    with ExitStack() as stack:
        held = [
            stack.enter_context(ports.reserved(request.config.server, index))
            for index in range(experts)
        ]
    return f"free for {len(held)} servers"


def inside(
    request: Request,
    command: Sequence[str],
    *,
    mounts: Sequence[Path] = (),
    tasks: int = 1,
    mpi: Mpi = Mpi.alone,
) -> list[str]:
    """The lines that a command says in the container. Raises ErError when it cannot be run."""
    engine = request.engine
    launch = Launch(
        name=unique("preflight"),
        command=tuple(command),
        log=Path(os.devnull),
        tasks=tasks,
        mpi=mpi,
        cpus=tasks,
        image=engine.container.image,
        mounts=tuple(mounts),
    )
    runtime = engine.container.runtime
    line = container.render(runtime, launch)
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
    """Where engines are kept, made when it is not there."""
    folder = Path(request.config.cache_dir).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ErError(f"{folder} cannot be made ({error.strerror}): set cache_dir") from error
    return folder


CHECKS: dict[str, Callable[[Request], str]] = {
    "launcher": launcher,
    "image": image,
    "GPUs": gpus,
    "host memory": host_memory,
    "disk": disk,
    "locks": flock,
    "files": files,
    "paths": paths,
    "version": version,
    "MPI": mpi,
    "checkpoint": weights,
    "ports": free_ports,
}
