"""Draw token counts from a distribution."""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from er.config import Lengths, Lognormal, Range

Floats = npt.NDArray[np.float64]
SMALLEST_SHARE = 1e-12  # the normal quantile of a share of 0 would be infinite


def draw(lengths: Lengths, count: int, generator: np.random.Generator) -> list[int]:
    """`count` token counts of the distribution `lengths`, in random order.

    The draw is stratified, one count from each of `count` equal shares, so that even a few follow
    the distribution closely.
    """
    shares = (np.arange(count) + generator.uniform(size=count)) / count
    return [int(tokens) for tokens in quantiles(lengths, generator.permutation(100 * shares))]


def quantiles(lengths: Lengths, percentiles: Sequence[float] | Floats) -> Floats:
    """Whole token counts at `percentiles` (0 to 100), clipped to the limits of `lengths`.

    A table is interpolated linearly in the logarithm of the counts and scaled.
    """
    shares = np.asarray(percentiles) / 100
    if isinstance(lengths, Range):
        tokens = np.floor(lengths.at_least + shares * (lengths.at_most - lengths.at_least + 1))
    elif isinstance(lengths, Lognormal):
        normal = [
            NormalDist().inv_cdf(p) for p in np.clip(shares, SMALLEST_SHARE, 1 - SMALLEST_SHARE)
        ]
        tokens = np.rint(lengths.median * np.exp(lengths.sigma * np.array(normal)))
    else:
        logarithms = np.interp(percentiles, lengths.percentiles, np.log(lengths.tokens))
        tokens = np.rint(np.exp(logarithms) * lengths.scale)
    return np.asarray(np.clip(tokens, lengths.at_least, lengths.at_most))
