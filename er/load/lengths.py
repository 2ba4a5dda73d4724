"""Token counts drawn from a quantile table."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from er.config import Lengths


def draw(lengths: Lengths, count: int, generator: np.random.Generator) -> list[int]:
    """`count` token counts of the distribution `lengths`, in random order.

    The draw is stratified, one count from each of `count` equal shares, so that even a few follow
    the distribution closely.
    """
    shares = (np.arange(count) + generator.uniform(size=count)) / count
    return [int(tokens) for tokens in quantiles(lengths, generator.permutation(100 * shares))]


def quantiles(
    lengths: Lengths, percentiles: Sequence[float] | npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Whole token counts at `percentiles` (0 to 100).

    The table is interpolated linearly in the logarithm of the counts, scaled, rounded and clipped.
    """
    logarithms = np.interp(percentiles, lengths.percentiles, np.log(lengths.tokens))
    tokens = np.rint(np.exp(logarithms) * lengths.scale)
    return np.asarray(np.clip(tokens, lengths.at_least, lengths.at_most))
