"""`python -m er.gateway 'gateway.experts=[URL,...]'`: the routing gateway alone, before experts.

Exit codes: those of er.cli.
"""

import os
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from er import cli, compose
from er.config import Config, Policy, require
from er.gateway import serve
from er.gateway.output import open_standard_files, say
from er.gateway.plan import Plan
from er.options import Command, parse_arguments
from er.results.words import count_of

COMMAND = Command(
    "er.gateway",
    "Route prompts to experts that run already: Triton's generate_stream, or OpenAI's API. The "
    "router is that of experiments, trained unless it is in the cache.",
    """
    python -m er.gateway deployment=e 'gateway.experts=[http://h:8000/v1,http://i:8000/v1,...]'
    python -m er.gateway deployment=e routing.policy=least_loaded gateway.port=8080 ...
    """,
    groups=("deployment", "gateway", "routing", "corpus"),
)

SILENT_AT_MOST_S = 1.0
TRAINS = (
    "er.gateway: reading texts and training the router, once: it is kept in the cache; this takes "
    "up to a minute"
)


def main(arguments: Sequence[str]) -> int:
    """Compose, check, then become the gateway; else the exit code."""
    open_standard_files()
    return cli.run("er.gateway", lambda: run(arguments))


def run(arguments: Sequence[str]) -> int:
    """Do what the command line requests. Raises ConfigError when it cannot be run."""
    options = parse_arguments(COMMAND, arguments)
    if options.for_hydra:
        compose.show(options)
        return 0
    jobs = compose.jobs_for(options)
    require(len(jobs) == 1, f"these are {len(jobs)} gateways: give one value for each key")
    with tempfile.NamedTemporaryFile(prefix="er-gateway-", suffix=".json") as file:
        make_plan(jobs[0].config).write(Path(file.name))
        descriptor = os.open(file.name, os.O_RDONLY)
    # This process becomes one without Hydra; the file is gone once it has been read.
    os.set_inheritable(descriptor, True)
    command = [sys.executable, "-m", "er.gateway.process", f"/dev/fd/{descriptor}"]
    return os.execv(sys.executable, command)


def make_plan(config: Config) -> Plan:
    """The gateway that a configuration asks for; its router is trained unless it is in the cache.

    Raises ErError, before that, when it has no experts, or not as many as there are clusters, and
    when it cannot be started here.
    """
    experts = [
        replicas if isinstance(replicas, list) else [replicas]
        for replicas in config.gateway.experts
    ]
    wanted = config.deployment.experts
    advice = f", or deployment.experts={len(experts)}" if experts else ""
    require(
        len(experts) == wanted,
        f"gateway.experts has {len(experts)} address{'' if len(experts) == 1 else 'es'}, "
        f"deployment={config.deployment.id} has {count_of(wanted, 'expert')}: give an address (or "
        f"a list of replicas) for each{advice}",
    )
    routing = config.routing
    require(
        len(routing.shares) in (0, wanted),
        f"routing.shares has {len(routing.shares)} weights for {wanted} experts: give one for each",
    )
    plan = Plan(config.gateway, experts, routing.policy, seed=config.seed, shares=routing.shares)
    serve.check(config.gateway)
    if routing.policy is not Policy.kmeans:
        return plan
    return replace(plan, router=str(find_router(config)))


def find_router(config: Config) -> Path:
    """The router's file; a line is printed where it takes long to make."""
    from er.routing.cached import router_for

    routing, experts = config.routing, config.deployment.experts
    waiting = threading.Timer(SILENT_AT_MOST_S, say, (TRAINS,))
    waiting.start()
    try:
        return router_for(routing, config.corpus, experts, config.seed, Path(config.cache_dir))
    finally:
        waiting.cancel()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
