"""How well a router divides prompts: load, agreement with labels, stability, top terms."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from er.routing.explain import term_scores
from er.routing.router import Router

TOP_TERMS = 8
WINDOWS_AT_MOST = 20
WINDOW_PROMPTS_AT_LEAST = 50

Labels = NDArray[np.intp]


@dataclass(frozen=True)
class Agreement:
    """How well experts agree with labels: 1 is perfect; 0 is chance, except for purity."""

    nmi: float  # normalised mutual information
    purity: float  # share of prompts that have their expert's commonest label
    ari: float  # adjusted Rand index


@dataclass(frozen=True)
class Evaluation:
    """What a router does with held-out prompts."""

    prompts: int
    load: list[int]  # prompts by expert
    peak: float  # load of the busiest expert over the mean load
    peaks_over_time: list[float]  # the same in consecutive windows of prompts
    agreement: Agreement | None  # where all prompts have labels
    stability: list[float]  # adjusted Rand index against routers of other seeds
    top_terms: list[list[str]]  # by expert
    topics: dict[str, list[int]]  # label: prompts by expert


def evaluate(
    router: Router,
    texts: Sequence[str],
    labels: Sequence[str] | None,
    others: Sequence[Router] = (),
) -> Evaluation:
    """Measure a router on prompts; `others` are the same router trained with other seeds."""
    chosen = decisions(router, texts)
    load = np.bincount(chosen, minlength=router.experts)
    return Evaluation(
        prompts=len(texts),
        load=load.tolist(),
        peak=peak(load),
        peaks_over_time=[
            peak(np.bincount(window, minlength=router.experts)) for window in windows(chosen)
        ],
        agreement=agreement(labels, chosen) if labels else None,
        stability=[float(adjusted_rand_score(decisions(o, texts), chosen)) for o in others],
        top_terms=top_terms(router, texts, chosen),
        topics=by_topic(labels, chosen, router.experts) if labels else {},
    )


def decisions(router: Router, texts: Sequence[str]) -> Labels:
    """The expert of each prompt."""
    return np.array([router.classify(text) for text in texts], np.intp)


def peak(load: NDArray[np.int_]) -> float:
    """The largest load over the mean."""
    return float(load.max() / load.mean())


def windows(chosen: Labels) -> list[Labels]:
    """Consecutive parts of equal length, long enough that chance does not rule them."""
    count = min(WINDOWS_AT_MOST, max(1, len(chosen) // WINDOW_PROMPTS_AT_LEAST))
    return np.array_split(chosen, count)


def agreement(labels: Sequence[str], chosen: Labels) -> Agreement:
    """How well the chosen experts agree with the labels."""
    pairs = Counter(zip(chosen.tolist(), labels, strict=True))
    largest: dict[int, int] = {}
    for (expert, _), count in pairs.items():
        largest[expert] = max(largest.get(expert, 0), count)
    return Agreement(
        nmi=float(normalized_mutual_info_score(labels, chosen)),
        purity=sum(largest.values()) / len(chosen),
        ari=float(adjusted_rand_score(labels, chosen)),
    )


def by_topic(labels: Sequence[str], chosen: Labels, experts: int) -> dict[str, list[int]]:
    """How many prompts of each label went to each expert."""
    counts = {label: [0] * experts for label in sorted(set(labels))}
    for label, expert in zip(labels, chosen, strict=True):
        counts[label][expert] += 1
    return counts


def top_terms(router: Router, texts: Sequence[str], chosen: Labels) -> list[list[str]]:
    """The terms that contributed most to choosing each expert over the others."""
    sums = np.zeros((router.experts, len(router.terms)))
    for text, expert in zip(texts, chosen, strict=True):
        rows, parts = term_scores(router, text)
        sums[expert, rows] += parts[:, expert] - parts.mean(axis=1)
    best = np.argsort(-sums, axis=1, kind="stable")[:, :TOP_TERMS]
    return [
        [router.terms[row] for row in rows if sums[expert, row] > 0]
        for expert, rows in enumerate(best)
    ]
