"""The routing gateway alone, before real experts.

    python -m er.gateway deployment=e gateway.experts=[URL,...]

Options are those of experiments: gateway=..., routing=..., gateway.port=8080 and so on.
"""

import os
import sys
import tempfile
from pathlib import Path

from er import cli, compose
from er.config import Config, Policy, require
from er.gateway.plan import Plan

HELP = ("-h", "--help")


def main() -> int:
    """Compose, check, then become the gateway; 2 when the request cannot be run."""
    return cli.run("er.gateway", lambda: answer(sys.argv[1:]), "every answer under way was ended")


def answer(arguments: list[str]) -> int:
    """Do what the command line asks; the exit code."""
    if set(arguments) & set(HELP):
        print(__doc__)
        return 0
    configs = compose.plan(*compose.overrides_of(arguments))
    require(len(configs) == 1, f"these are {len(configs)} gateways: give one value for each key")
    with tempfile.NamedTemporaryFile(prefix="er-gateway-", suffix=".json") as file:
        planned(configs[0]).write(Path(file.name))
        # A fresh interpreter without Hydra, in this process; the file is gone once it has read it.
        descriptor = os.open(file.name, os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    place = f"/dev/fd/{descriptor}"
    os.execv(sys.executable, [sys.executable, "-m", "er.gateway.process", place])


def planned(config: Config) -> Plan:
    """The gateway that a configuration asks for; its router is trained unless it is in the cache.

    Raises ConfigError when it has no experts, or not as many as there are clusters.
    """
    experts = [
        replicas if isinstance(replicas, list) else [replicas]
        for replicas in config.gateway.experts
    ]
    wanted = config.deployment.experts
    require(
        len(experts) == wanted,
        f"gateway.experts has {len(experts)} addresses, deployment={config.deployment.id} has "
        f"{wanted} experts: give an address (or a list of replicas) for each",
    )
    policy, router = config.routing.policy, ""
    if policy is Policy.kmeans:
        from er.routing.cached import router_for

        cache = Path(config.cache_dir)
        router = str(router_for(config.routing, config.corpus, wanted, config.seed, cache))
    return Plan(config.gateway, experts, policy, router, config.seed, config.routing.shares)


if __name__ == "__main__":
    sys.exit(main())
