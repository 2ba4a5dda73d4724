"""The command line of `python -m er.load`."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from er import compose
from er.compose import Job
from er.config import Config, JsonlWorkload
from er.errors import ConfigError
from er.load import alone, prompts, trace, trace_kinds, users
from er.load.inspect import describe, describe_prompts, shape_of, shape_of_prompts
from er.options import Arguments, Command, Word, parse_arguments
from er.results import names, run_dir, terminal
from er.results.request import Endpoint

# Run in separate processes, so that MLflow's start-up and memory do not burden the measurement.
PUBLISH = [sys.executable, "-m", "er.publish"]
DRAW = [sys.executable, "-m", "paper_figures.load"]
DRAW_TRACE = [sys.executable, "-m", "paper_figures.trace"]
COMMAND = Command(
    "er.load",
    "Send load to a server that streams tokens, and measure it.",
    """
    python -m er.load target=http://127.0.0.1:8000/v1/chat/completions 'load.concurrency=[1,10]'
    python -m er.load target=grpc://127.0.0.1:8001/ensemble load=open_loop
    """,
    words=(
        Word(
            "target",
            "",
            "http(s)://HOST:PORT/v2/models/NAME/generate_stream of Triton, its gRPC as "
            "grpc(s)://HOST:PORT/NAME, or OpenAI's /v1/completions and /v1/chat/completions",
        ),
        Word(
            "inspect",
            "",
            "a trace or a file of prompts: print its kind, rows, span, rate and lengths; draw them",
        ),
        Word("model", "model", "the model's name, for OpenAI's addresses"),
    ),
    groups=("corpus", "load", "tracking", "workload"),
)


def run_command(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit code. Raises ErError when it cannot be run."""
    parsed = parse_arguments(COMMAND, arguments)
    if parsed.for_hydra:
        compose.show(parsed)
        return 0
    if parsed.words["inspect"]:
        return inspect(parsed)
    endpoint, config = request_of(parsed)
    failed, publishes = False, config.tracking.enabled
    with alone.open_run(endpoint, config) as run:
        try:
            alone.measure_ladder(
                endpoint, config, run, terminal.say, terminal.width() or terminal.PLAIN_WIDTH
            )
        except alone.NoAnswerError:
            publishes = False
            raise
        finally:
            if publishes and run.has(names.CONFIG):
                failed = _fails([*PUBLISH, str(run.path)])
    if config.tracking.enabled and not failed:
        figures = Path(config.runs_dir) / "figures"
        shown = f"runs={run_dir.id_of(run.read(names.RECORD))}"
        failed = _fails([*DRAW, shown, f"uri={config.tracking.uri}", f"out={figures}"])
    return 1 if failed else 0


def inspect(parsed: Arguments) -> int:
    """Describe and draw a trace or a file of prompts. Raises ErError for any other file."""
    file = parsed.words["inspect"]
    if parsed.words["target"]:
        raise ConfigError("inspect=FILE sends nothing: leave out target=")
    quoted = "'" + file.replace("\\", "\\\\").replace("'", "\\'") + "'"
    overrides = ("load=trace", *parsed.overrides, f"load.trace={quoted}")
    job = only_job(replace(parsed, overrides=overrides))
    source = trace.source_of(job.config.load)
    if trace_kinds.holds_prompts(source):
        overrides = ("workload=jsonl", *parsed.overrides, f"workload.path={quoted}")
        job = only_job(replace(parsed, overrides=overrides))
        workload = job.config.workload
        assert isinstance(workload, JsonlWorkload)
        found = prompts.of_file(workload, prompts.encoding_of(workload, Path(job.config.cache_dir)))
        lines, shape = describe_prompts(source.path, found), shape_of_prompts(found)
        kind = "prompts"
    else:
        lines, shape = describe(source), shape_of(trace.read(source))
        kind = "trace"
    for line in lines:
        terminal.say(line)
    figures = str(Path(job.config.runs_dir) / "figures")
    drawing = [*DRAW_TRACE, figures, f"{kind}-{source.path.name.partition('.')[0]}"]
    return subprocess.run(drawing, input=json.dumps(shape), text=True, check=False).returncode


def request_of(parsed: Arguments) -> tuple[Endpoint, Config]:
    """The server and the configuration of the load. Raises ConfigError when they cannot be used."""
    if not parsed.words["model"]:
        raise ConfigError("model is empty: give the name of the server's model")
    endpoint = _endpoint(parsed.words["target"], parsed.words["model"])
    if endpoint.grpc_address:
        parsed = replace(parsed, overrides=("load.client=grpc", *parsed.overrides))
    job = only_job(parsed)
    load = job.config.load
    users.check(endpoint, load, load.concurrency[-1])
    return endpoint, job.config


def only_job(parsed: Arguments) -> Job:
    """The only job of a command line. Raises ConfigError when there are several."""
    jobs = compose.jobs_for(parsed)
    if len(jobs) > 1:
        raise ConfigError("one target or file takes one load: leave out -m and +experiment")
    return jobs[0]


def _endpoint(target: str, model: str) -> Endpoint:
    """The endpoint of `target`. Raises ConfigError when it is not a complete address."""
    try:
        url = urlsplit(target)
        if url.port == 0:
            raise ValueError("0 is not a port")
        if re.search(r"\s", target):
            raise ValueError("it has white space")
    except ValueError as error:
        raise ConfigError(f"target={target}: {error}: give http://host:port/...") from error
    path = url.path.rstrip("/")
    if url.scheme in ("http", "https") and (path == "" or path.endswith("/v1")):
        base = f"{url.scheme}://{url.netloc}{path or '/v1'}"
        raise ConfigError(
            f"target={target} is a base address: give {base}/chat/completions or {base}/completions"
        )
    if url.hostname and url.scheme in ("http", "https") and url.path != path:
        return _endpoint(target.replace(url.path, path), model)
    if url.hostname and url.scheme in ("http", "https"):
        return Endpoint(target, model)
    if url.hostname and url.scheme in ("grpc", "grpcs") and url.path.strip("/"):
        return Endpoint(target, url.path.strip("/"), grpc_address=url.netloc)
    raise ConfigError(
        "no target: give target=http://host:port/v2/models/NAME/generate_stream, "
        "grpc://host:port/NAME, or an address that ends with /v1/chat/completions"
    )


def _fails(command: list[str]) -> bool:
    """Whether a command, which prints its own errors, failed."""
    return subprocess.run(command, check=False).returncode != 0
