"""A small corpus in a small package."""

import hashlib
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from er import config

WORDS = {
    "law": "plaintiff defendant court liable statute contract damages jury appeal negligence tort",
    "cooking": "oven butter flour simmer garlic onion recipe whisk bake pepper saucepan dough",
    "space": "orbit rocket lunar telescope planet gravity comet launch astronaut galaxy nebula",
}


def sentence(topic: str, number: int) -> str:
    """A sentence of a topic, another one for each number."""
    words = random.Random(f"{topic}{number}").choices(WORDS[topic].split(), k=9)
    return " ".join(words).capitalize() + "."


Package = Callable[[dict[str, list[str]]], config.Corpus]


@pytest.fixture
def package(tmp_path: Path) -> Package:
    """Put a wheel with these files (name: prompts) into the cache `tmp_path`; its corpus."""

    def build(files: dict[str, list[str]]) -> config.Corpus:
        wheel = tmp_path / "new.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, texts in files.items():
                samples = [
                    {"input": [{"role": "system", "content": "Be brief."}, {"content": text}]}
                    for text in texts
                ]
                archive.writestr(name, "\n".join(map(json.dumps, samples)))
        sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
        (tmp_path / "packages").mkdir(exist_ok=True)
        wheel.rename(tmp_path / "packages" / f"tiny-1.0-{sha256[:16]}.whl")
        topics = {name.removesuffix(".jsonl"): [name] for name in files}
        return config.Corpus("tiny", 0.25, 100, "tiny", "1.0", sha256, topics)

    return build


@pytest.fixture
def corpus(package: Package) -> config.Corpus:
    """Three topics of forty prompts."""
    return package({f"{topic}.jsonl": [sentence(topic, n) for n in range(40)] for topic in WORDS})
