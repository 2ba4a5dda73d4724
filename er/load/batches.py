"""What the users of a point send."""

from collections.abc import Sequence
from pathlib import Path

from er.config import Config
from er.corpus import collection
from er.load import arrivals, prompts
from er.results.request import Prompt
from er.results.words import count_of

_built: dict[str, list[Prompt]] = {}  # by all that they follow from: a study builds them once
_texts: dict[str, list[tuple[str, str]]] = {}


def build_batch(config: Config, concurrency: int) -> list[Prompt]:
    """Prompts of one point, the same for every deployment.

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
    """A line where a file has fewer prompts than are sent."""
    prompts = len({prompt.text for prompt in batch})
    if config.workload.kind != "jsonl" or prompts == len(batch):
        return []
    return [
        f"{len(batch)} requests send the {count_of(prompts, 'prompt')} of workload.path again and "
        "again: a server that keeps what it has read answers them sooner than new ones"
    ]


def read_texts(config: Config) -> list[tuple[str, str]]:
    """Topic and text of the corpus's test part; none where the workload brings its own texts."""
    if config.workload.kind == "jsonl":
        return []
    key = repr(config.corpus)
    if key not in _texts:
        known = collection.load(config.corpus, Path(config.cache_dir))
        _texts[key] = [(text.topic, text.text) for text in known if text.split == "test"]
    return _texts[key]
