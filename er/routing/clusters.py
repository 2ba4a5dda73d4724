"""Fitting: tf-idf, truncated SVD, length one, k-means."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from er.errors import ErError
from er.routing.classify import Router
from er.routing.features import terms

KMEANS_STARTS = 10


def fit(
    texts: Sequence[str], components: int, clusters: int, seed: int, metadata: dict[str, Any]
) -> Router:
    """Train a router on prompts.

    Raises ErError when there are fewer prompts than components or clusters.
    """
    if len(texts) <= max(components, clusters):
        raise ErError(
            f"{len(texts)} prompts are too few for {components} components and {clusters} "
            "clusters: give more prompts, or lower routing.components"
        )
    vectorizer = TfidfVectorizer(analyzer=terms)
    weighted = vectorizer.fit_transform(texts)
    svd = TruncatedSVD(components, random_state=seed)
    svd.fit(weighted)
    # The file holds 32-bit components: the centres are fitted to what they project to.
    kept = svd.components_.T.astype(np.float32)
    embedded = normalize(weighted @ kept.astype(np.float64))
    kmeans = KMeans(clusters, n_init=KMEANS_STARTS, random_state=seed).fit(embedded)
    return Router(
        terms=list(vectorizer.get_feature_names_out()),
        idf=vectorizer.idf_,
        components=kept,
        centres=kmeans.cluster_centers_,
        metadata=metadata,
    )
