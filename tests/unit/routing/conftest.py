"""Routers trained on the small corpus."""

import pytest
from tiny_corpus import WORDS, sentence

from er import config
from er.routing import clusters
from er.routing.router import Router

CBTM = config.Routing("cbtm", 3, 5, False, 1, 1.0, 2, False)
BALANCED = config.Routing("balanced", 3, 5, True, 2, 0.9, 2, True)


@pytest.fixture(scope="session")
def router() -> Router:
    """A router of three experts."""
    texts = [sentence(topic, n) for n in range(40) for topic in WORDS]
    return clusters.fit(texts, CBTM, seed=0, metadata={"made": "for a test"})


@pytest.fixture(scope="session", params=[CBTM, BALANCED], ids=["cbtm", "balanced"])
def either(request: pytest.FixtureRequest) -> Router:
    """A router of either kind."""
    texts = [sentence(topic, n) for n in range(40) for topic in WORDS]
    return clusters.fit(texts, request.param, seed=0, metadata={})
