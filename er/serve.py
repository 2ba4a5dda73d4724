"""`python -m er.serve deployment=e`: start one deployment, and keep it up until it is interrupted.

Exit codes: those of er.cli.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from er import cli, compose
from er.config import ClockKind, Config, require
from er.config.runnable import require_runnable
from er.options import Command, parse_arguments
from er.results import places
from er.results.request import Endpoint
from er.results.run_dir import RunDir

PROVE_EVERY_S = 5.0
COMMAND = Command(
    "er.serve",
    "Start one deployment as experiments do, with its gateway where it is routed, and keep it up "
    "until Ctrl-C or TERM: something to point er.load or a client of your own at.",
    """
    python -m er.serve deployment=e                      eight experts behind the gateway
    python -m er.serve deployment=a server.http_port=8000
    python -m er.serve deployment=e gateway.port=8080 engine=smollm2
    """,
    groups=("deployment", "engine", "server", "gateway", "routing", "corpus", "hardware"),
)


def main() -> int:
    """Start a deployment, and keep it up until an interruption."""
    return cli.run("er.serve", lambda: serve(sys.argv[1:]), "everything started is stopped")


def serve(arguments: Sequence[str]) -> int:
    """Start the deployment of a command line, and check every PROVE_EVERY_S that it still answers.

    Returns only for Hydra's own options. Raises ErError when the deployment cannot be started, or
    when one of its models has died.
    """
    parsed = parse_arguments(COMMAND, list(arguments))
    if parsed.for_hydra:
        compose.show(parsed)
        return 0
    with cli.loading():
        jobs = compose.jobs_for(parsed)
    require(len(jobs) == 1, f"these are {len(jobs)} deployments: give one value for each key")
    config = jobs[0].config
    require(config.clock.kind is ClockKind.real, "clock=virtual starts nothing: leave it out")
    require(config.cluster.kind == "laptop", "er.serve serves here: leave cluster out")
    require_runnable(config)
    with cli.loading():
        from er.study import job, measured
        from er.study.progress import Progress

        job.check([config])
    run = RunDir(places.make_directory(Path(config.runs_dir) / "served", config.deployment.id))
    (run.path / "logs").mkdir()
    with measured.serve(config, run, Progress([config], Console())) as serving:
        serving.prove()
        for line in describe(config, serving.entry, run.path):
            print(line, flush=True)
        while True:
            time.sleep(PROVE_EVERY_S)
            serving.prove()


def describe(config: Config, entry: Endpoint, folder: Path) -> list[str]:
    """Lines for the user: the addresses of the deployment, and how to use and end it."""
    lines = [
        f"serving {config.title} ({config.engine.kind} engines); logs: {folder}/logs",
        f"Triton's API:  {entry.url}",
    ]
    if config.deployment.routed and config.gateway.kind == "fast":
        lines.append(f"OpenAI's API:  {entry.url.partition('/v2/')[0]}/v1")
    return [
        *lines,
        f"put load on it:  python -m er.load 'target={entry.url}'",
        "end it:          Ctrl-C",
    ]


if __name__ == "__main__":
    sys.exit(main())
