"""Fitting: tf-idf, truncated SVD, length one, k-means with clusters of one size."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import kmeans_plusplus
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from er import config
from er.errors import ErError
from er.routing import balance
from er.routing.features import terms
from er.routing.router import Router

ROUNDS_AT_MOST = 50

Floats = NDArray[np.float64]


def fit(
    texts: Sequence[str], routing: config.Routing, seed: int, metadata: dict[str, Any]
) -> Router:
    """Train a router on prompts.

    Raises ErError when there are too few prompts, or too few terms in them.
    """
    clusters = routing.clusters
    if len(texts) <= max(routing.components, clusters):
        raise ErError(
            f"{len(texts)} prompts are too few for {routing.components} components and {clusters} "
            "clusters: give more prompts, or lower routing.components"
        )
    vectorizer = TfidfVectorizer(
        analyzer=terms,
        sublinear_tf=routing.sublinear_tf,
        min_df=routing.min_df,
        max_df=routing.max_df,
    )
    try:
        weighted = vectorizer.fit_transform(texts)
        svd = TruncatedSVD(routing.components, random_state=seed).fit(weighted)
    except ValueError as error:
        raise ErError(
            f"the prompts do not have terms enough for {routing.components} components: give more "
            "prompts, or lower routing.components or routing.min_df"
        ) from error
    # The file holds 32-bit components: the centres are fitted to what they project to.
    components = svd.components_.T.astype(np.float32)
    embedded = normalize(weighted @ components.astype(np.float64))
    centres = tightest_centres(embedded, clusters, routing.starts, seed)
    prices = np.zeros(clusters)
    if routing.keep_prices:
        prices = balance.prices(scores(embedded, centres))
    return Router(
        terms=list(vectorizer.get_feature_names_out()),
        idf=vectorizer.idf_,
        components=components,
        centres=centres,
        prices=prices,
        sublinear_tf=routing.sublinear_tf,
        metadata=metadata,
    )


def scores(embedded: Floats, centres: Floats) -> Floats:
    """(prompts, clusters); the highest belongs to the nearest centre."""
    found: Floats = embedded @ centres.T - (centres**2).sum(axis=1) / 2
    return found


def tightest_centres(embedded: Floats, clusters: int, starts: int, seed: int) -> Floats:
    """The centres of the start whose prompts lie closest to their own."""
    fits = [equal_kmeans(embedded, clusters, seed + start) for start in range(starts)]
    # Prompts have length one (or are zero), so that a higher total score is a smaller distance.
    return max(fits, key=lambda fit: fit[1])[0]


def equal_kmeans(embedded: Floats, clusters: int, seed: int) -> tuple[Floats, float]:
    """k-means whose clusters have one size: centres, and the total score of the prompts."""
    centres, _ = kmeans_plusplus(embedded, clusters, random_state=seed)
    labels: balance.Labels = np.full(len(embedded), -1, np.intp)
    for _ in range(ROUNDS_AT_MOST):
        before, labels = labels, balance.equal_assignment(scores(embedded, centres))
        centres = np.stack(
            [embedded[labels == cluster].mean(axis=0) for cluster in range(clusters)]
        )
        if (labels == before).all():
            break
    return centres, float(scores(embedded, centres)[np.arange(len(labels)), labels].sum())
