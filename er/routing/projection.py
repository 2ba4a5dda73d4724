"""A map of what a router was trained on: samples in two dimensions, and their experts."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from er.results.files import write_whole
from er.routing import router
from er.routing.router import Router

SAMPLES_AT_MOST = 400
DIGITS = 2


def map_of(file: Path, texts: Sequence[str]) -> dict[str, Any]:
    """The map of the router in a file, kept beside it. Raises ErError when it is no router."""
    kept = file.with_suffix(".map.json")
    if not kept.exists():
        write_whole(kept, json.dumps(project(router.load(file), texts)).encode())
    found: dict[str, Any] = json.loads(kept.read_text())
    return found


def project(trained: Router, texts: Sequence[str]) -> dict[str, Any]:
    """Evenly chosen texts by t-SNE of their vectors (van der Maaten and Hinton, 2008).

    `x`, `y` and `expert` are (n,); like texts are near each other, axes and distances mean nothing.
    """
    from sklearn.manifold import TSNE  # takes a second
    from threadpoolctl import threadpool_limits

    chosen = texts[:: max(1, -(-len(texts) // SAMPLES_AT_MOST))]
    embedded = [trained.lookup.embed(text) for text in chosen]
    vectors = np.array([vector / (length or 1.0) for vector, length in embedded])
    perplexity = min(30.0, (len(chosen) - 1) / 3)
    with threadpool_limits(1):  # its threads wait for each other longer than they work
        places = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(vectors)
    return {
        "method": "t-SNE",
        "samples": len(texts),
        "x": [round(float(x), DIGITS) for x in places[:, 0]],
        "y": [round(float(y), DIGITS) for y in places[:, 1]],
        "expert": [trained.classify(text) for text in chosen],
    }
