"""What a deployment's users send, and who answers it."""

from pathlib import Path

from er.config import Config
from er.load import prompts, users
from er.results import Prompt
from er.routing import cached, corpus


def ladder_of(config: Config) -> dict[int, list[Prompt]]:
    """Prompts of each concurrency, from the part of the corpus that no router was trained on.

    The same for every deployment of one seed.
    """
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
            users.requests_of(concurrency, config.load),
            config.seed + concurrency,
            cache_dir,
        )
        for concurrency in config.load.concurrency
    }


def router_of(config: Config) -> Path:
    """File of the deployment's router, trained when it is not in the cache."""
    return cached.router_for(
        config.routing,
        config.corpus,
        config.deployment.experts,
        config.seed,
        Path(config.cache_dir),
    )
