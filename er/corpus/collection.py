"""Prompts with topics: read from a package, a file or Hugging Face, then cleaned, split and cached.

A prompt of a package is the text of the last message of a sample, without the template that most
prompts of its file share. Prompts that differ only in digits, case and white space count as one.
"""

import gzip
import hashlib
import json
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from er import config
from er.config import require
from er.corpus import jsonl, packaged
from er.errors import ConfigError, ErError
from er.results.files import write_whole

CACHE_FORMAT = 2  # to be raised when the cleaning below changes
WORDS_AT_LEAST = 3  # of a prompt
SHUFFLED = 10_000  # rows of a data set from which the next one is drawn at random
# A template: at least so many words with which at least this share of a file's prompts begin or
# end.
TEMPLATE_WORDS_AT_LEAST = 4
TEMPLATE_SHARE = 0.5


@dataclass(frozen=True)
class Text:
    """One prompt."""

    text: str
    topic: str
    split: str  # train or test


def load(corpus: config.Corpus, cache_dir: Path) -> list[Text]:
    """The prompts of a corpus, in a fixed order, from the cache where possible.

    Raises ErError when they cannot be loaded or the cached copy is damaged, ConfigError when the
    package does not hold a file of `corpus.topics`.
    """
    if corpus.path:
        labelled = jsonl.read(Path(corpus.path))
        return select_texts(corpus, [(prompt.label or "", [prompt.text]) for prompt in labelled])
    path = cache_path(corpus, cache_dir)
    if path.exists():
        return read_cache(path)
    sources = read_dataset(corpus) if corpus.dataset else read_package(corpus, cache_dir)
    texts = select_texts(corpus, sources)
    write_cache(path, texts)
    return texts


def digest(texts: list[Text]) -> str:
    """SHA-256 over texts, topics and splits, in hexadecimal digits."""
    return hashlib.sha256(as_lines(texts)).hexdigest()


def select_texts(corpus: config.Corpus, sources: Iterable[tuple[str, list[str]]]) -> list[Text]:
    """De-duplicate, cap and split the prompts of each source: (topic, prompts)."""
    seen: set[str] = set()
    texts = []
    for topic, candidates in sources:
        fresh = sorted(unseen(candidates, seen), key=lambda text: fraction(text, "cap"))
        for text in fresh[: corpus.per_file_at_most]:
            held_out = fraction(text, "split") < corpus.test_share
            texts.append(Text(text, topic, "test" if held_out else "train"))
    return texts


def read_package(corpus: config.Corpus, cache_dir: Path) -> Iterator[tuple[str, list[str]]]:
    """Topic and cleaned prompts of each file that `corpus.topics` names."""
    package = packaged.Package(corpus.package, corpus.version, corpus.sha256)
    with packaged.opened(package, cache_dir) as archive:
        for topic, files in corpus.topics.items():
            for file in files:
                yield topic, prompts(archive, topic, file)


def read_dataset(corpus: config.Corpus) -> Iterator[tuple[str, list[str]]]:
    """Topic and text of rows drawn from a data set on Hugging Face."""
    try:
        import datasets
    except ImportError:
        raise ErError(
            f"corpus {corpus.name} comes from Hugging Face: install the extra `huggingface` "
            "(pip install datasets), or choose corpus=evals"
        ) from None
    try:
        rows = datasets.load_dataset(
            corpus.dataset,
            corpus.subset or None,
            split=corpus.split,
            revision=corpus.revision,
            streaming=True,
        )
        for row in rows.shuffle(seed=0, buffer_size=SHUFFLED).take(corpus.per_file_at_most):
            require_columns(corpus, row)
            topic = str(row[corpus.topic_column]) if corpus.topic_column else ""
            yield topic, [str(row[corpus.text_column])]
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        hint = "is the internet reachable? " if isinstance(error, ConnectionError) else ""
        raise ErError(
            f"cannot read {corpus.dataset} from Hugging Face: {reason} "
            f"({hint}corpus=evals needs neither internet nor account)"
        ) from error


def require_columns(corpus: config.Corpus, row: dict[str, object]) -> None:
    """Raise ConfigError when a row lacks a column that the configuration names."""
    for key in ("text_column", "topic_column"):
        column = getattr(corpus, key)
        require(
            not column or column in row,
            f"corpus.{key} is {column}: the columns of {corpus.dataset} are {', '.join(row)}",
        )


def prompts(archive: zipfile.ZipFile, topic: str, file: str) -> list[str]:
    """The cleaned prompts of one JSON Lines file of the package."""
    try:
        lines = archive.read(file).splitlines()
    except KeyError:
        raise ConfigError(
            f"corpus.topics.{topic} names {file}, which the package does not hold: correct the path"
        ) from None
    raw = [last_message(json.loads(line)) for line in lines if line.strip()]
    shortened = without_templates([text.strip() for text in raw])
    return [text for text in shortened if len(text.split()) >= WORDS_AT_LEAST]


def last_message(sample: dict[str, object]) -> str:
    """The prompt of a sample: the content of its last message."""
    messages = sample["input"]
    assert isinstance(messages, list)
    return str(messages[-1]["content"])


def unseen(texts: list[str], seen: set[str]) -> Iterator[str]:
    """The texts that are new, ignoring digits, case and white space; adds their keys to `seen`."""
    for text in texts:
        key = re.sub(r"\d+", "0", " ".join(text.casefold().split()))
        if key not in seen:
            seen.add(key)
            yield text


def fraction(text: str, purpose: str) -> float:
    """A pseudo-random number in [0, 1) that depends only on the text and the purpose."""
    hashed = hashlib.sha256(f"{purpose}\0{text}".encode()).digest()
    return int.from_bytes(hashed[:8], "big") / 2**64


def without_templates(texts: list[str]) -> list[str]:
    """Remove the words with which most of the texts begin, then those with which most end."""
    shared = common_start([text.split() for text in texts])
    trimmed = [after(text, shared) for text in texts]
    shared = common_start([text.split()[::-1] for text in trimmed])
    return [after(text[::-1], [word[::-1] for word in shared])[::-1] for text in trimmed]


def common_start(texts: list[list[str]]) -> list[str]:
    """The longest sequence of words with which enough texts begin; empty when it is too short."""
    start: list[str] = []
    matching = texts
    while True:
        following = Counter(text[len(start)] for text in matching if len(text) > len(start))
        word, count = following.most_common(1)[0] if following else ("", 0)
        if count < 2 or count < TEMPLATE_SHARE * len(texts):
            return start if len(start) >= TEMPLATE_WORDS_AT_LEAST else []
        start.append(word)
        matching = [text for text in matching if text[len(start) - 1 : len(start)] == [word]]


def after(text: str, start: list[str]) -> str:
    """The text after the words of `start`, or all of it when it begins differently."""
    match = re.match(r"\s*" + r"\s+".join(map(re.escape, start)) + r"(?!\S)\s*", text)
    return text[match.end() :] if start and match else text


def cache_path(corpus: config.Corpus, cache_dir: Path) -> Path:
    """The file of the cleaned corpus, named by a digest of everything that it depends on."""
    key = hashlib.sha256(json.dumps([CACHE_FORMAT, asdict(corpus)]).encode()).hexdigest()
    return cache_dir / "corpora" / f"{corpus.name}-{key[:16]}.jsonl.gz"


def as_lines(texts: list[Text]) -> bytes:
    """The texts as JSON Lines."""
    return b"".join(json.dumps(vars(text)).encode() + b"\n" for text in texts)


def write_cache(path: Path, texts: list[Text]) -> None:
    """Write the digest and the lines. Raises ErError when that fails."""
    content = f"{digest(texts)}\n".encode() + as_lines(texts)
    write_whole(path, gzip.compress(content, mtime=0))


def read_cache(path: Path) -> list[Text]:
    """Read a cached corpus. Raises ErError when its digest does not match."""
    try:
        expected, _, lines = gzip.decompress(path.read_bytes()).partition(b"\n")
    except (OSError, EOFError, zlib.error) as error:
        raise damage_error(path) from error
    if hashlib.sha256(lines).hexdigest().encode() != expected:
        raise damage_error(path)
    return [Text(**json.loads(line)) for line in lines.splitlines()]


def damage_error(path: Path) -> ErError:
    """The error for a cached corpus that fails its digest."""
    return ErError(f"the cached corpus {path} is damaged: delete it and run again")
