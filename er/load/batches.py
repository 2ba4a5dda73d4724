"""The prompts that the users of a point send, built once for all deployments of a study."""

from collections.abc import Sequence
from pathlib import Path

from er.config import Config
from er.corpus import collection
from er.load import arrivals, prompts
from er.results.request import Prompt
from er.results.words import count_of

_built: dict[str, list[Prompt]] = {}  # by everything that decides them
_texts: dict[str, list[tuple[str, str]]] = {}  # by corpus: topic and text


def build_batch(config: Config, concurrency: int) -> list[Prompt]:
    """The prompts of one point, the same for every deployment.

    Raises ErError when the corpus cannot be loaded or the workload cannot be made of it.
    """
    count = arrivals.count_requests(concurrency, config.load)
    return build_prompts(config, count, config.seed + concurrency)


def build_prompts(config: Config, count: int, seed: int) -> list[Prompt]:
    """`count` prompts of the workload, from the part of the corpus that no router was trained on.

    Raises ErError when the corpus cannot be loaded or the workload cannot be made of it.
    """
    key = repr((config.corpus, config.workload, config.load, count, seed))
    if key not in _built:
        _built[key] = prompts.build(
            read_texts(config),
            config.workload,
            count,
            seed,
            Path(config.cache_dir),
            arrivals.read_lengths(config.load),
            arrivals.read_blocks(config.load),
        )
    return _built[key]


def describe_repeats(config: Config, batch: Sequence[Prompt]) -> list[str]:
    """A note when a file has fewer prompts than are sent; empty otherwise."""
    prompts = len({prompt.text for prompt in batch})
    if config.workload.kind != "jsonl" or prompts == len(batch):
        return []
    return [
        f"{len(batch)} requests send the {count_of(prompts, 'prompt')} of workload.path again and "
        "again: a server that caches prompts answers them sooner than new ones"
    ]


def read_texts(config: Config) -> list[tuple[str, str]]:
    """Topic and text of the corpus's test part; empty when the workload has texts of its own."""
    if config.workload.kind == "jsonl":
        return []
    key = repr(config.corpus)
    if key not in _texts:
        known = collection.load(config.corpus, Path(config.cache_dir))
        _texts[key] = [(text.topic, text.text) for text in known if text.split == "test"]
    return _texts[key]
