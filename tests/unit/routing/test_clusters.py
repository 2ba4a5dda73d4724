"""Training."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_corpus import WORDS, sentence

from er.errors import ErError
from er.routing import clusters
from tests.unit.routing.conftest import BALANCED, CBTM

UNEVEN = [sentence("law", n) for n in range(60)] + [sentence("space", n) for n in range(12)]


def test_the_same_seed_gives_the_same_router() -> None:
    texts = [sentence(topic, n) for n in range(20) for topic in WORDS]
    one, two = (clusters.fit(texts, CBTM, seed=7, metadata={}) for _ in range(2))
    for name in ("centres", "components", "idf", "prices"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_clusters_have_one_size_while_fitting() -> None:
    centres = np.random.default_rng(0).normal(size=(2, 3))
    embedded = np.concatenate([np.tile(centres[0], (50, 1)), np.tile(centres[1], (10, 1))])
    embedded += np.random.default_rng(1).normal(scale=0.01, size=embedded.shape)
    found, _ = clusters.equal_kmeans(embedded, 2, seed=0)
    # Thirty of the fifty alone make one centre; twenty of them and the ten others the second.
    mixed = (20 * centres[0] + 10 * centres[1]) / 30
    distances = np.abs(found[:, None] - np.stack([centres[0], mixed])[None]).max(axis=2)
    assert sorted(distances.argmin(axis=0)) == [0, 1]
    assert distances.min(axis=0).max() < 0.01


def test_cbtm_routes_to_the_nearest_centre_and_lets_the_load_be_uneven() -> None:
    router = clusters.fit(UNEVEN, replace(CBTM, clusters=2), seed=0, metadata={})
    assert (router.prices == 0).all()


def test_balanced_keeps_prices_that_even_out_the_load() -> None:
    router = clusters.fit(UNEVEN, replace(BALANCED, clusters=2), seed=0, metadata={})
    load = np.bincount([router.classify(text) for text in UNEVEN], minlength=2)
    assert abs(load[0] - load[1]) <= 2


def test_too_few_prompts_are_refused() -> None:
    with pytest.raises(ErError, match="3 prompts are too few for 5 components and 3 clusters"):
        clusters.fit(["one two", "three four", "five six"], CBTM, seed=0, metadata={})


def test_prompts_without_terms_are_refused() -> None:
    with pytest.raises(ErError, match="do not have terms enough for 5 components"):
        clusters.fit(["1 2 3"] * 30, CBTM, seed=0, metadata={})


def test_prompts_with_too_few_terms_are_refused() -> None:
    with pytest.raises(ErError, match="do not have terms enough for 5 components"):
        clusters.fit(["oven butter"] * 30, CBTM, seed=0, metadata={})
