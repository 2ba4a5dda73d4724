"""What a deployment's users send, and who answers it."""

from pathlib import Path

from er.config import Config, Policy
from er.corpus import collection
from er.load import arrivals, prompts
from er.results.request import Prompt
from er.routing import cached

Ladder = dict[int, list[Prompt]]  # prompts by concurrency
_built: dict[str, list[Prompt]] = {}  # by all that they follow from: a sweep builds them once
_texts: dict[str, list[tuple[str, str]]] = {}
_routers: dict[str, Path] = {}


def ladder_of(config: Config) -> Ladder:
    """Prompts of each concurrency, the same for every deployment."""
    return {
        users: prompts_of(config, arrivals.requests_of(users, config.load), config.seed + users)
        for users in config.load.concurrency
    }


def prompts_of(config: Config, count: int, seed: int) -> list[Prompt]:
    """`count` prompts of the workload, from the part of the corpus that no router was trained on.

    Raises ErError when the corpus cannot be had or the workload cannot be made of it.
    """
    key = repr((config.corpus, config.workload, config.load, count, seed))
    if key not in _built:
        _built[key] = prompts.build(
            texts_of(config),
            config.workload,
            count,
            seed,
            Path(config.cache_dir),
            arrivals.lengths_of(config.load),
        )
    return _built[key]


def texts_of(config: Config) -> list[tuple[str, str]]:
    """Topic and text of the corpus's test part."""
    key = repr(config.corpus)
    if key not in _texts:
        known = collection.load(config.corpus, Path(config.cache_dir))
        _texts[key] = [(text.topic, text.text) for text in known if text.split == "test"]
    return _texts[key]


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
