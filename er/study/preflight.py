"""Whether a node can build and serve a deployment, one line for each thing that it needs."""

import fcntl
import os
import shutil
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil

from er.config.trtllm import Runtime
from er.engine import checkpoint, in_container, llmapi, node
from er.engine.cache import lock
from er.engine.in_container import Request, cache_dir
from er.engine.llmapi import LlmapiRequest
from er.errors import ErError
from er.process.launchers import pyxis
from er.results.words import as_different
from er.server import ports

IDLE_BYTES = 2e9  # of a GPU's memory: more is another program's
NOTHING_BUILT = "nothing is built"


def check(request: Request, say: Callable[[str], None]) -> bool:
    """Look at everything, whatever is missing, and say it, the verdict last; whether all holds."""
    say(f"deployment {request.config.deployment.id} on this node:")
    missing = []
    for name, look in CHECKS.items():
        try:
            say(f"ok      {name}: {look(request)}")
        except ErError as error:
            missing.append(name)
            say(f"MISSING {name}: {error}")
    lacks = f"cannot be served here: {len(missing)} of {len(CHECKS)} missing"
    verdict = f"{lacks} ({', '.join(missing)})" if missing else "can be built and served here"
    say(f"deployment {request.config.deployment.id} {verdict}")
    return not missing


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
    nodes = getattr(request.config.cluster, "nodes", 1)
    need = request.config.deployment.gpus // nodes
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
        free_gb, need_gb = as_different(have / 1e9, need / 1e9, 0)
        raise ErError(
            f"{free_gb} GB of the host's memory are free, a build takes up to some {need_gb} GB: "
            "end other programs, or ask for a whole node"
        )
    return f"{have / 1e9:.0f} GB free, a build takes up to some {need / 1e9:.0f} GB"


def disk(request: Request) -> str:
    """Room for the engine and, while it is built, the converted checkpoint."""
    if isinstance(request, LlmapiRequest):
        return NOTHING_BUILT
    folder = cache_dir(request)
    need, have = request.memory.build_disk_bytes, shutil.disk_usage(folder).free
    if have < need:
        free_gb, need_gb = as_different(have / 1e9, need / 1e9, 0)
        raise ErError(
            f"{folder} has {free_gb} GB free, a build takes {need_gb} GB: make room, or set "
            "cache_dir to another disk"
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


def weights(request: Request) -> str:
    """The checkpoint: complete, of the deployment's model and in its format; not read here."""
    if isinstance(request, LlmapiRequest):
        path, found = request.checkpoint, llmapi.complete(request)
    else:
        path = Path(request.engine.checkpoint)
        found = checkpoint.complete(path, request.config.deployment.model)
    return f"{path}, {sum(file.stat().st_size for file in found) / 1e9:.1f} GB"


def free_ports(request: Request) -> str:
    """Those of all engines."""
    experts = request.config.deployment.experts
    with ExitStack() as stack:
        held = [
            stack.enter_context(ports.reserved(request.config.server, index))
            for index in range(experts)
        ]
    return f"free for {len(held)} server{'s' if len(held) > 1 else ''}"


CHECKS: dict[str, Callable[[Request], str]] = {
    "launcher": launcher,
    "image": image,
    "GPUs": gpus,
    "host memory": host_memory,
    "disk": disk,
    "locks": flock,
    "files": in_container.files,
    "paths": in_container.paths,
    "version": in_container.version,
    "CUDA": in_container.cuda,
    "MPI": in_container.mpi,
    "checkpoint": weights,
    "ports": free_ports,
}
