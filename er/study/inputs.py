"""The router of a deployment, trained once for all that need it."""

from pathlib import Path

from er.config import Config, Policy
from er.routing import cached

_routers: dict[str, Path] = {}  # by all that they follow from


def router_of(config: Config) -> Path | None:
    """File of the deployment's router, trained when it is not in the cache; None for a baseline."""
    if config.routing.policy is not Policy.kmeans:
        return None
    experts = config.deployment.experts
    key = repr((config.routing, config.corpus, experts, config.seed, config.cache_dir))
    if key not in _routers:
        _routers[key] = cached.router_for(
            config.routing, config.corpus, experts, config.seed, Path(config.cache_dir)
        )
    return _routers[key]
