"""The terms that decided for an expert, found in steps: prompts may have tens of thousands."""

import asyncio
from urllib.parse import quote

import numpy as np

from er.routing.arrays import Ints
from er.routing.choice import Choice
from er.routing.router import Router

TERMS_AT_MOST = 10
STEP_ROWS = 2048


async def reason(router: Router, rows: Ints, counts: Ints, choice: Choice) -> bytes:
    """Terms with their parts of the margin over the second best (`er.routing.explain`), the
    largest first, as the value of a header; `rows` and `counts` are the prompt's."""
    chosen, _, second = choice
    frequencies = 1.0 + np.log(counts) if router.sublinear_tf else counts.astype(np.float64)
    weights = frequencies * router.idf[rows]
    direction = router.centres[chosen] - router.centres[second]
    parts, total = np.zeros(len(rows)), np.zeros(router.components.shape[1])
    for begin in range(0, len(rows), STEP_ROWS):
        step = slice(begin, begin + STEP_ROWS)
        vectors = weights[step, None] * router.components[rows[step]]
        parts[step] = vectors @ direction
        total += vectors.sum(axis=0)
        await asyncio.sleep(0)
    parts /= float(np.linalg.norm(total)) or 1.0
    largest = np.arange(len(parts))
    if len(parts) > TERMS_AT_MOST:
        largest = np.argpartition(-np.abs(parts), TERMS_AT_MOST)[:TERMS_AT_MOST]
    in_order = sorted(largest.tolist(), key=lambda place: (-abs(parts[place]), place))
    return ", ".join(
        f"{quote(_term(router, rows[place]))}={parts[place]:+.4f}" for place in in_order
    ).encode()


def _term(router: Router, row: int) -> str:
    """One term; a list of all of them would hold others up."""
    arrays = router.arrays
    assert arrays
    return bytes(arrays.terms[arrays.starts[row] : arrays.starts[row + 1]]).decode()
