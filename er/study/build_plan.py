"""What would be built and started for a deployment on a GPU node, in words."""

import json
import shlex
from pathlib import Path

from er.config import Config
from er.config.trtllm import LlmapiEngine, TrtllmEngine
from er.engine import checkpoint, llmapi, trtllm, trtllm_build
from er.engine.llmapi import LlmapiRequest
from er.engine.names import model_names
from er.engine.trtllm import EngineRequest
from er.errors import ConfigError, ErError
from er.process import container
from er.server import trtllm_launch
from er.server.ports import Ports

FIRST_PORTS = (8000, 8100, 8200)
Request = EngineRequest | LlmapiRequest


def request_of(config: Config) -> Request:
    """What the deployment asks for, of the flow that the engine's kind names.

    Raises ConfigError, with the reason, when it cannot be.
    """
    if isinstance(config.engine, TrtllmEngine):
        return trtllm.request_of(config)
    if isinstance(config.engine, LlmapiEngine):
        return llmapi.request_of(config)
    raise ConfigError(
        f"engine.kind is {config.engine.kind}: only engine=trtllm is built, "
        "and engine=llmapi served without"
    )


def show(request: Request) -> None:
    """Say it; nothing is built or started."""
    deployment, memory = request.config.deployment, request.memory
    print(f"deployment {deployment.id}: {request.config.title}")
    print(f"  engines     {deployment.experts} of {deployment.tp} rank(s), all alike")
    print(
        f"  GPU memory  {memory.weight_bytes / 1e9:.1f} GB of weights, "
        f"{memory.activation_bytes / 1e9:.1f} GB kept for activations, "
        f"{memory.kv_tokens * memory.kv_bytes_per_token / 1e9:.1f} GB of KV cache "
        f"= {memory.kv_tokens} tokens = {memory.largest_batch} sequences of 512, "
        f"of {memory.gpu_bytes / 1e9:.1f} GB"
    )
    if isinstance(request, LlmapiRequest):
        show_llm(request)
    else:
        show_build(request)


def show_build(request: EngineRequest) -> None:
    """The commands of the engine flow."""
    config = request.config
    source, digest = trtllm_build.checkpoint_dir(request), "not known"
    provisional = "provisional: the GPU is taken from hardware, the container is not looked at"
    try:
        found = checkpoint.checked(source, config.deployment.model, Path(config.cache_dir))
        digest = found.digest
    except ErError as error:
        provisional += f", and {error}"
    calibration = "not known" if trtllm_build.calibration_dir(request) else ""
    image = request.engine.container.digest
    sources = trtllm_build.Sources(digest, calibration, image, config.hardware.name)
    it = trtllm_build.wanted(request, sources)
    path = trtllm_build.engines_dir(request) / it.folder
    print(f"  key         {it.key} ({provisional})")
    print(f"  cache       {path} ({'there' if path.exists() else 'not built yet'})")
    memory = request.memory
    print(
        f"  disk        {memory.engine_disk_bytes / 1e9:.1f} GB, while it is built "
        f"{memory.build_disk_bytes / 1e9:.1f} GB"
    )
    print(f"  host memory up to some {memory.build_host_bytes / 1e9:.0f} GB while it is built")
    print("  it is built by")
    work = path.parent / ".building" / it.folder
    for command in trtllm_build.steps(request, source, work):
        launch = trtllm_build.launch_of(request, command, source, work, Path("LOG"))
        print(f"    {shlex.join(container.render(request.engine.container.runtime, launch))}")
    show_launch(request, [path, source])


def show_llm(request: LlmapiRequest) -> None:
    """The arguments of the LLM API."""
    try:
        found = f"sha256 {llmapi.checked(request).digest}"
    except ErError as error:
        found = str(error)
    print(f"  checkpoint  {found}")
    print(f"  LLM         {json.dumps(llmapi.arguments(request))}")
    show_launch(request, [request.checkpoint])


def show_launch(request: Request, folders: list[Path]) -> None:
    """The first engine's command, and where the others stand."""
    deployment = request.config.deployment
    names = model_names(deployment)
    http, grpc, metrics = FIRST_PORTS
    ports = [Ports(http + i, grpc + i, metrics + i) for i in range(len(names))]
    first, *others = trtllm_launch.places(names, deployment.tp, ports)
    repository = Path(request.config.runs_dir, "RUN", "model_repository").absolute()
    mounts = [repository, *folders]
    launch = trtllm_launch.launch(request.engine, first, repository, mounts, Path("LOG"))
    print("  and served, from a run's model repository, by")
    print(f"    {shlex.join(container.render(request.engine.container.runtime, launch))}")
    if others:
        where = "; ".join(
            f"port {it.ports.http}, GPU {','.join(map(str, it.gpus))}" for it in others
        )
        print(f"    and {len(others)} more: {where}")
