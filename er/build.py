"""`python -m er.build deployment=a`: build the engines of deployments, or look after the cache.

Overrides are those of er.run; beside them dry=true, action=build|list|prune|options.
Exit codes: 0 done, 1 something failed, 2 the request cannot be met,
130 Ctrl-C.
"""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from er.config import Config
from er.engine import cache, checkpoint, trtllm_build, trtllm_options
from er.engine.names import model_names
from er.engine.trtllm import EngineRequest, request_of
from er.errors import ConfigError, ErError
from er.server import trtllm_launch
from er.server.ports import Ports
from er.sweep import overrides_of, plan

FIRST_PORTS = (8000, 8100, 8200)
ACTIONS = ("build", "list", "prune", "options")


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says."""
    try:
        dry, action, rest = own_words(arguments)
        overrides, multirun = overrides_of(rest)
        jobs = plan([*missing(overrides), *overrides], multirun)
        if action in ("list", "prune"):
            look_after(jobs[0], action)
        elif action == "options":
            return hold_options(request_of(jobs[0]))
        else:
            for request in [request_of(config) for config in jobs]:
                if dry:
                    show(request)
                else:
                    trtllm_build.build(request, say)
    except ConfigError as error:
        return fail(error, 2)
    except ErError as error:
        return fail(error, 1)
    except KeyboardInterrupt:
        return fail("interrupted: the tools are stopped, nothing half-built is kept", 130)
    return 0


def own_words(arguments: Sequence[str]) -> tuple[bool, str, list[str]]:
    """Whether it is a dry run, the action, and the arguments left for the configuration."""
    words = {"dry": "false", "action": "build"}
    rest = []
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name in words:
            words[name] = value
        else:
            rest.append(argument)
    if words["dry"] not in ("true", "false"):
        raise ConfigError(f"dry is {words['dry']}: give true or false")
    if words["action"] not in ACTIONS:
        raise ConfigError(f"action is {words['action']}: choose of {list(ACTIONS)}")
    return words["dry"] == "true", words["action"], rest


def missing(overrides: Sequence[str]) -> list[str]:
    """The choices that go without saying, unless they were made."""
    chosen = [override.partition("=")[0] for override in overrides]
    usual = {"engine": "trtllm", "server": "container"}
    return [f"{group}={name}" for group, name in usual.items() if group not in chosen]


def show(request: EngineRequest) -> None:
    """Say what a build would do, without doing it."""
    config, memory = request.config, request.memory
    source, digest = trtllm_build.checkpoint_dir(request), "not known"
    provisional = "provisional: the GPU is taken from hardware"
    try:
        found = checkpoint.checked(source, config.deployment.model, Path(config.cache_dir))
        digest = found.digest
    except ErError as error:
        provisional += f", and {error}"
    it = trtllm_build.wanted(request, digest, config.hardware.name)
    path = trtllm_build.engines_dir(request) / it.folder
    print(f"deployment {config.deployment.id}: {config.deployment.description}")
    print(f"  engines     {config.deployment.experts} of {request.tp} rank(s), all alike")
    print(f"  key         {it.key} ({provisional})")
    print(f"  cache       {path} ({'there' if path.exists() else 'not built yet'})")
    print(f"  disk        {memory.engine_disk_bytes / 1e9:.1f} GB")
    print(
        f"  GPU memory  {memory.weight_bytes / 1e9:.1f} GB of weights, "
        f"{memory.activation_bytes / 1e9:.1f} GB kept for activations, "
        f"{memory.kv_tokens * memory.kv_bytes_per_token / 1e9:.1f} GB of KV cache "
        f"= {memory.kv_tokens} tokens = {memory.largest_batch} sequences of 512, "
        f"of {memory.gpu_bytes / 1e9:.1f} GB"
    )
    print("  it is built by")
    work = path.parent / ".building" / it.folder
    for command in trtllm_build.steps(request, source, work):
        print(f"    {shlex.join(trtllm_build.launched(request, command, source, work))}")
    print("  and served, from a run's model repository, by")
    names = model_names(config.deployment)
    ports = [Ports(*(first + index for first in FIRST_PORTS)) for index in range(len(names))]
    first, *others = trtllm_launch.places(names, request.tp, ports)
    repository = Path(config.runs_dir, "RUN", "model_repository").absolute()
    command = trtllm_launch.command(request.engine, first, repository, [repository, path, source])
    print(f"    {shlex.join(command)}")
    if others:
        where = "; ".join(
            f"port {it.ports.http}, GPU {','.join(map(str, it.gpus))}" for it in others
        )
        print(f"    and {len(others)} more: {where}")


def look_after(config: Config, action: str) -> None:
    """List the cache's engines, or remove what cannot be used."""
    root = Path(config.cache_dir) / "engines"
    if action == "prune":
        for path in cache.prune(root):
            print(f"removed {path}")
        return
    for path in cache.engines(root):
        print(f"{cache.size_bytes(path) / 1e9:8.1f} GB  {path}")


def hold_options(request: EngineRequest) -> int:
    """Inside the container: hold the table of options against the installed tools' --help."""
    version, failed = request.engine.version, 0
    programs = {
        "convert_checkpoint.py": ["python3", request.engine.convert_script],
        "trtllm-build": ["trtllm-build"],
    }
    for tool, program in programs.items():
        try:
            told = subprocess.run([*program, "--help"], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise ErError(f"{tool} --help cannot be run here: {error}") from error
        missing = trtllm_options.missing_from_help(version, tool, told.stdout)
        failed += len(missing)
        print(f"{tool} {version}: {', '.join(missing) or 'every option of the table is there'}")
    return 1 if failed else 0


def say(line: str) -> None:
    """Tell it at once, also into a pipe."""
    print(line, flush=True)


def fail(message: object, code: int) -> int:
    """Say in one line what went wrong."""
    print(f"er.build: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
