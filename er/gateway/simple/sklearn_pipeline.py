"""Classification as it is usually written: scikit-learn's vectorizer, projection and centres.

The paper's gateway may have done this; its figures speak of 15 to 25 ms [inferred].
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from er.config import Policy
from er.gateway import choosers
from er.gateway.trained import Trained
from er.routing.policies import Choose


def chooser(
    policy: Policy, router: Path | None, clusters: int, seed: int = 0, shares: Sequence[float] = ()
) -> Choose:
    """The expert of a text by a plain pipeline of the same router.

    Raises ErError as `choosers.chooser` does.
    """
    chosen = choosers.chooser(policy, router, clusters, seed, shares)
    if not isinstance(chosen, Trained):
        return lambda text, loads: chosen.choose(text, loads)[0]
    return pipeline(chosen)


def pipeline(trained: Trained) -> Callable[[str, Sequence[float]], int]:
    """The router's decision, taken with scikit-learn."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    router = trained.router
    # Stop words and numbers are not in the vocabulary.
    vectorizer = TfidfVectorizer(
        vocabulary={term: row for row, term in enumerate(router.terms)},
        sublinear_tf=router.sublinear_tf,
    )
    vectorizer.idf_ = router.idf
    components = router.components.astype(np.float64)

    def choose(text: str, _: Sequence[float]) -> int:
        embedded = normalize(vectorizer.transform([text]) @ components)
        scores = embedded @ router.centres.T - router.offsets
        return int(scores[0].argmax())

    return choose
