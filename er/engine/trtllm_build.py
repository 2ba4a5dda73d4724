"""Build a TensorRT-LLM engine, or find it in the cache."""

import shlex
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from er.config import Config
from er.config.trtllm import Quantization
from er.engine import cache, checkpoint, in_container, trtllm_commands, trtllm_options
from er.engine.names import model_names
from er.engine.node import container_digest, gpu_name, require_tools
from er.engine.trtllm import EngineRequest, request_of
from er.errors import ErError
from er.process import container
from er.process.group import Child
from er.process.launch import Launch, unique
from er.results.request import ServedModel
from er.results.words import as_different

# TensorRT-LLM's name of each quantisation in an engine's config.json.
QUANT_ALGO = {
    Quantization.fp16: None,
    Quantization.bf16: None,
    Quantization.int8_weight_only: "W8A16",
    Quantization.int8_smoothquant: "W8A8_SQ_PER_CHANNEL_PER_TOKEN_PLUGIN",
    Quantization.fp8: "FP8_PER_CHANNEL_PER_TOKEN",
}
STOP_TIMEOUT_S = 5.0  # short, since nothing of a stopped build is kept
FOLLOW_INTERVAL_S = 0.2
READY_MAX_TOKENS = 4


@dataclass(frozen=True)
class Sources:
    """Digests of what an engine is built from, besides its options; empty for what is not used."""

    checkpoint: str
    calibration: str
    container: str
    gpu: str  # name


def wanted(request: EngineRequest, sources: Sources) -> cache.Wanted:
    """The engine of these options and sources, as the cache identifies it."""
    engine = request.engine
    place = str(calibration_dir(request))
    commands = [
        ["CALIBRATION" if part == place else part for part in command]
        for command in steps(request, Path("CHECKPOINT"), Path("WORK"))
    ]
    limits = {
        name: getattr(engine, name)
        for name in ("max_batch_size", "max_num_tokens", "max_input_len", "max_seq_len")
    }
    expected: dict[str, Any] = {
        "version": engine.version,
        "pretrained_config.architecture": "LlamaForCausalLM",
        "pretrained_config.dtype": request.dtype,
        "pretrained_config.mapping.tp_size": request.tp,
        "pretrained_config.quantization.quant_algo": QUANT_ALGO[request.quantization],
        "build_config.plugin_config.tokens_per_block": engine.tokens_per_block,
        **{f"build_config.{name}": value for name, value in limits.items()},
    }
    return cache.Wanted(
        f"{request.config.deployment.model.name}-{request.quantization.value}-tp{request.tp}",
        {
            "commands": commands,
            "checkpoint_sha256": sources.checkpoint,
            "calibration_sha256": sources.calibration,
            "gpu": sources.gpu,
            "trtllm_version": engine.version,
            "container": [engine.container.image, sources.container],
        },
        expected,
        request.tp,
    )


def steps(request: EngineRequest, source: Path, work: Path) -> list[list[str]]:
    """The commands of one build, checked against the options of the pinned version."""
    commands = [
        trtllm_commands.convert(request, source, work / "converted"),
        trtllm_commands.build(request, work / "converted", work / "engine"),
    ]
    for command in commands:
        trtllm_options.check(request.engine.version, command)
    return commands


def models(config: Config) -> list[ServedModel]:
    """One model for each engine of the deployment, all of the same built engine.

    Raises ErError when it is not in the cache: building takes long and has a command of its own.
    """
    request = request_of(config)
    engine, path = in_cache(request)
    if not path.exists():
        raise ErError(
            f"engine {engine.folder} is not built: run python -m er.build with "
            f"deployment={config.deployment.id} and the same overrides"
        )
    cache.require(path, engine)
    parameters = {
        "engine_dir": str(path),
        "engine_key": engine.key,
        "largest_batch_at_512_tokens": str(request.memory.largest_batch),
        "predicted_kv_pool_tokens": str(request.memory.kv_tokens),
    }
    return [
        ServedModel(name, "", request.engine.max_batch_size, parameters, READY_MAX_TOKENS)
        for name in model_names(config.deployment)
    ]


def in_cache(request: EngineRequest) -> tuple[cache.Wanted, Path]:
    """The engine for this machine's checkpoint and GPU, and its path in the cache."""
    config, gpu = request.config, gpu_name(request.engine)
    cache_dir, texts = Path(config.cache_dir), calibration_dir(request)
    source = checkpoint.checked(checkpoint_dir(request), config.deployment.model, cache_dir)
    sources = Sources(
        source.digest,
        checkpoint.folder_digest(texts, cache_dir) if texts else "",
        container_digest(request.engine, cache_dir),
        gpu,
    )
    engine = wanted(request, sources)
    return engine, engines_dir(request) / engine.folder


def build(request: EngineRequest, report: Callable[[str], None]) -> Path:
    """The path of the engine in the cache, which is built if it is missing.

    `report` gets a line for each event. Raises ErError when a tool, the checkpoint, or disk space
    is missing, or when a tool fails.
    """
    require_tools(request.engine, "trtllm-build")
    engine, _ = in_cache(request)
    source = checkpoint_dir(request)
    root = engines_dir(request)
    report(f"engine {engine.folder}")
    if cache.busy(root, engine.folder):
        report("another builder is at work on it: waiting")
    path, reused = cache.obtain(
        root, engine, lambda work: run_steps(request, source, work, log_path(root, engine), report)
    )
    report(f"{'reused' if reused else 'built'}: {path}")
    return path


def run_steps(
    request: EngineRequest, source: Path, work: Path, log: Path, report: Callable[[str], None]
) -> None:
    """Run the commands of a build one after the other.

    The output of each tool goes to `report`, and stays in `log` until the next tool begins.
    """
    require_disk(request, work)
    in_container.require(request, [request.engine.convert_script])
    memory = request.memory
    report(
        f"this takes {memory.build_disk_bytes / 1e9:.0f} GB of disk for a while, "
        f"{memory.engine_disk_bytes / 1e9:.0f} GB in the end, and up to some "
        f"{memory.build_host_bytes / 1e9:.0f} GB of the host's memory"
    )
    for command in steps(request, source, work):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        report(f"running: {shlex.join(command)}")
        launch = launch_of(request, command, source, work, log)
        tool = Path(next(part for part in command if "convert" in part or "build" in part)).name
        runtime = request.engine.container.runtime
        with container.running(runtime, launch, title=tool, stop_timeout_s=STOP_TIMEOUT_S) as child:
            follow(child, log, report)
            if child.poll():
                child.require_alive()


def launch_of(
    request: EngineRequest, command: list[str], source: Path, work: Path, log: Path
) -> Launch:
    """The launch of one command of a build, in the container, with a GPU for each rank."""
    binds = [*container.with_links(source), work.parent.parent]
    if texts := calibration_dir(request):
        binds.append(texts)
    started = Launch(
        name=unique("build"),
        command=tuple(command),
        log=log,
        cpus=request.engine.container.cpus_per_gpu * request.tp,
        gpus=tuple(range(request.tp)),
        image=request.engine.container.image,
        mounts=tuple(binds),
    )
    return container.at_site(started, request.engine.container)


def follow(child: Child, log: Path, report: Callable[[str], None]) -> None:
    """Report every line that a tool adds to its log, until it has ended."""
    with log.open(errors="replace") as lines:
        ended = False
        while not ended:
            ended = child.poll() is not None
            for line in lines:
                report(f"  {line.rstrip()}")
            if not ended:
                time.sleep(FOLLOW_INTERVAL_S)


def engines_dir(request: EngineRequest) -> Path:
    """The folder of built engines; absolute, since containers see it under the same path."""
    return Path(request.config.cache_dir).absolute() / "engines"


def checkpoint_dir(request: EngineRequest) -> Path:
    """The path of the checkpoint; absolute for the same reason."""
    return Path(request.engine.checkpoint).absolute()


def calibration_dir(request: EngineRequest) -> Path | None:
    """The folder of texts that SmoothQuant calibrates on; None for other engines."""
    smooth = request.quantization is Quantization.int8_smoothquant
    return Path(request.engine.calibration).absolute() if smooth else None


def log_path(root: Path, engine: cache.Wanted) -> Path:
    """The file with the tools' output of the last build."""
    return root / ".logs" / f"{engine.folder}.log"


def require_disk(request: EngineRequest, work: Path) -> None:
    """Raise ErError unless the disk has space for the converted checkpoint and the engine."""
    needed_bytes = request.memory.build_disk_bytes
    free_bytes = shutil.disk_usage(work).free
    if free_bytes < needed_bytes:
        needed, free = as_different(needed_bytes / 1e9, free_bytes / 1e9, 0)
        raise ErError(
            f"building needs {needed} GB in {work.parent.parent}, which has {free} GB free: make "
            "room, or set cache_dir to another disk"
        )
