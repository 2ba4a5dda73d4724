"""What a deployment's users send, and who answers it."""

from pathlib import Path

from er.config import Config, Policy
from er.load import arrivals, prompts
from er.results import Prompt
from er.routing import cached, corpus
from er.run_key import study_key

Ladder = dict[int, list[Prompt]]  # prompts by concurrency
_built: dict[str, Ladder] = {}


def ladder_of(config: Config) -> Ladder:
    """Prompts of each concurrency, from the part of the corpus that no router was trained on.

    The same for every deployment of one study, so a sweep builds them once.
    """
    key = study_key(config)
    if key not in _built:
        _built[key] = _build(config)
    return _built[key]


def _build(config: Config) -> Ladder:
    cache_dir = Path(config.cache_dir)
    texts = [
        (text.topic, text.text)
        for text in corpus.load(config.corpus, cache_dir)
        if text.split == "test"
    ]
    return {
        concurrency: prompts.build(
            texts,
            config.workload,
            arrivals.requests_of(concurrency, config.load),
            config.seed + concurrency,
            cache_dir,
            arrivals.lengths_of(config.load),
        )
        for concurrency in config.load.concurrency
    }


def router_of(config: Config) -> Path | None:
    """File of the deployment's router, trained when it is not in the cache; None for a baseline."""
    if config.routing.policy is not Policy.kmeans:
        return None
    return cached.router_for(
        config.routing,
        config.corpus,
        config.deployment.experts,
        config.seed,
        Path(config.cache_dir),
    )
