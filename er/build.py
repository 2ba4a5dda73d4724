"""`python -m er.build deployment=a`: build the engines of deployments, or manage their cache.

Exit codes: those of er.cli.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from er import cli, compose
from er.compose import Job
from er.config import Config, Engine, require
from er.config.runnable import require_own_deployment
from er.config.trtllm import LlmapiEngine, TrtllmEngine
from er.engine import cache, llmapi, llmapi_arguments, trtllm_build, trtllm_options
from er.engine.llmapi import LlmapiRequest
from er.errors import ConfigError, ErError
from er.options import Arguments, Command, Word, parse_arguments
from er.results import terminal
from er.study import build_plan, preflight

ACTIONS = {
    "preflight": "whether this node can build and serve; 0 only if all holds",
    "build": "build what is missing",
    "list": "the engines in the cache",
    "prune": "remove what killed builders left",
    "options": "inside the container: compare our tables with the installed version",
}
COMMAND = Command(
    "er.build",
    "Build the engines of deployments, or manage the cache of them. Overrides are those of "
    "er.run; engine=trtllm and server=container are the defaults.",
    """
    python -m er.build action=preflight deployment=a
    python -m er.build deployment=a dry=true
    python -m er.build -m 'deployment=a,b,c,d,e'
    """,
    words=(
        Word("job", "", "of the one job of this file, in place of overrides"),
        Word(
            "dry",
            "false",
            "only show commands, key, disk and GPU memory; with cluster=slurm the batch scripts",
            ("true", "false"),
        ),
        Word("action", "build", "; ".join(f"{k}: {v}" for k, v in ACTIONS.items()), tuple(ACTIONS)),
    ),
)
LLM_FIELDS = """
import json, sys
from tensorrt_llm.llmapi import llm_args
print(json.dumps({name: list(getattr(llm_args, name).model_fields) for name in sys.argv[1:]}))
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit code."""
    interrupt_message = "the tools are stopped, nothing half-built is kept"
    return cli.run("er.build", lambda: run_command(arguments), interrupt_message)


def run_command(arguments: Sequence[str]) -> int:
    """Run the chosen action; return the exit code. Raises ErError when it cannot be done."""
    parsed = parse_arguments(COMMAND, arguments)
    if parsed.for_hydra:
        compose.show(with_defaults(parsed))
        return 0
    file = parsed.words["job"]
    if file and parsed.overrides:
        raise ConfigError(f"{parsed.overrides[0]} changes nothing: job={file} says all of it")
    composed = [compose.read_job(Path(file))] if file else compose.jobs_for(with_defaults(parsed))
    jobs = [job.config for job in composed]
    for config in jobs:
        require_own_deployment(config)
    action, dry = parsed.words["action"], parsed.words["dry"] == "true"
    on_slurm = not file and action in ("build", "preflight") and jobs[0].cluster.kind == "slurm"
    require(
        not dry or action == "build" or on_slurm,
        f"dry=true is of action=build: leave out action={action}",
    )
    if action == "options":
        return compare_options(jobs[0].engine)
    if on_slurm:
        submit(composed, parsed.words)
        return 0
    if action == "preflight":
        checks = [preflight.check(build_plan.request_of(config), print_line) for config in jobs]
        return 0 if all(checks) else 1
    if action == "build":
        build_engines(jobs, dry)
    else:
        manage_cache(jobs[0], action)
    return 0


def build_engines(jobs: Sequence[Config], dry: bool) -> None:
    """Build what is missing, or show what would be done, after checking that all of it can be."""
    for request in [build_plan.request_of(config) for config in jobs]:
        if dry:
            build_plan.show(request)
        elif isinstance(request, LlmapiRequest):
            model, *_ = llmapi.models(request.config)
            print_line(f"nothing to build: engine=llmapi serves {request.checkpoint} as it is")
            print_line(f"checkpoint sha256 {model.parameters['checkpoint_sha256']}")
        else:
            trtllm_build.build(request, print_line)


def submit(jobs: Sequence[Job], words: Mapping[str, str]) -> None:
    """Hand the work to Slurm, and return while it waits or runs."""
    from er.cluster import dry
    from er.cluster.folder import describe_next
    from er.cluster.submit import submit_commands

    for job in jobs:
        build_plan.request_of(job.config)
    action = words["action"]
    if words["dry"] == "true":
        dry.show(jobs, action)
        return
    title = "engine of" if action == "build" else "preflight for"
    submit_commands(jobs, action, title, terminal.say)
    print_line(f"look at it with  {describe_next(jobs[0].config, 'er.status')}")


def with_defaults(parsed: Arguments) -> Arguments:
    """Add the overrides of this command for groups that the user did not choose."""
    chosen = [override.partition("=")[0] for override in parsed.overrides]
    defaults = {"engine": "trtllm", "server": "container"}
    added = [f"{group}={name}" for group, name in defaults.items() if group not in chosen]
    return replace(parsed, overrides=(*added, *parsed.overrides))


def manage_cache(config: Config, action: str) -> None:
    """List the cache's engines, or remove what cannot be used."""
    root = Path(config.cache_dir) / "engines"
    if action == "prune":
        for path in cache.prune(root):
            print(f"removed {path}")
        return
    found = cache.engines(root)
    if not found:
        print(f"no engine in {root}")
    for path in found:
        print(f"{cache.size_bytes(path) / 1e9:8.1f} GB  {path}")


def compare_options(engine: Engine) -> int:
    """Inside the container: compare the tables with the installed tools; 1 when one is wrong."""
    if isinstance(engine, LlmapiEngine):
        expected = llmapi_arguments.classes(engine.version)
        installed = json.loads(output_of(["python3", "-c", LLM_FIELDS, *expected]).splitlines()[-1])
        missing = {name: sorted(set(expected[name]) - set(installed[name])) for name in expected}
    elif isinstance(engine, TrtllmEngine):
        programs = {
            "convert_checkpoint.py": ["python3", engine.convert_script],
            "trtllm-build": ["trtllm-build"],
        }
        missing = {
            tool: trtllm_options.missing_from_help(
                engine.version, tool, output_of([*program, "--help"])
            )
            for tool, program in programs.items()
        }
    else:
        raise ConfigError(f"engine.kind is {engine.kind}: choose engine=trtllm or engine=llmapi")
    for tool, names in missing.items():
        print(f"{tool} {engine.version}: {', '.join(names) or 'all of the table is there'}")
    return 1 if any(missing.values()) else 0


def output_of(command: list[str]) -> str:
    """What a tool of the container prints. Raises ErError when it cannot be run."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except OSError as error:
        raise ErError(f"{command[0]} cannot be run here: {error.strerror}") from error
    except subprocess.CalledProcessError as error:
        error_lines = error.stderr.strip().splitlines() or ["it says nothing"]
        raise ErError(f"{' '.join(command[:2])} fails here: {error_lines[-1]}") from error


def print_line(line: str) -> None:
    """Print a line without buffering, also into a pipe."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
