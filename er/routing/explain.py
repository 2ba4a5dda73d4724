"""Why a prompt goes to its expert, exactly: scores are linear in the terms of a prompt."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from er.routing.router import Router

Floats = NDArray[np.float64]

CBTM_TEMPERATURE = 0.1


@dataclass(frozen=True)
class Explanation:
    """A decision. The margin is the sum of all terms' parts and of the offset."""

    expert: int
    runner_up: int
    scores: list[float]
    weights: list[float]  # C-BTM's: softmax of -distance^2 / 0.1, without prices
    margin: float  # score of the expert less that of the runner-up
    terms: list[tuple[str, float]]  # part of the margin, largest size first
    offset: float  # part of the margin that does not depend on the prompt


def explain(router: Router, text: str) -> Explanation:
    """Take a decision apart; a lone expert is its own runner-up."""
    scores = router.scores(text)
    order = np.argsort(-scores, kind="stable")
    expert, runner_up = int(order[0]), int(order[min(1, len(order) - 1)])
    rows, parts = term_scores(router, text)
    differences = parts[:, expert] - parts[:, runner_up]
    by_size = np.argsort(-np.abs(differences), kind="stable")
    distances = -2 * (scores + router.prices)  # squared, up to a constant
    weights = np.exp((distances.min() - distances) / CBTM_TEMPERATURE)
    return Explanation(
        expert=expert,
        runner_up=runner_up,
        scores=scores.tolist(),
        weights=(weights / weights.sum()).tolist(),
        margin=float(scores[expert] - scores[runner_up]),
        terms=[(router.terms[rows[place]], float(differences[place])) for place in by_size],
        offset=float(router.offsets[runner_up] - router.offsets[expert]),
    )


def term_scores(router: Router, text: str) -> tuple[NDArray[np.int32], Floats]:
    """Rows of a prompt's terms, and what each adds to the score of each expert (terms, experts)."""
    rows, counts = router.lookup.rows(text)
    frequencies = 1.0 + np.log(counts) if router.sublinear_tf else counts.astype(np.float64)
    vectors = (frequencies * router.idf[rows])[:, None] * router.components[rows]
    length = float(np.linalg.norm(vectors.sum(axis=0))) or 1.0
    parts: Floats = vectors @ router.centres.T / length
    return rows, parts
