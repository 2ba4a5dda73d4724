"""Which published runs a correction may be fitted on: half of them, drawn once.

The draw is a table of rows and columns, each of which has as many runs to fit on as to hold out:
rows are what a run was of (node, model, TP, lengths of a serving run), columns what was sent
(arrivals per second of a serving run, lengths at maximum throughput). Serving and maximum
throughput are drawn apart. `data/published_*.csv` keep the seed and what came of it.
"""

import numpy as np
from numpy.typing import NDArray

SWAPS = 10_000


def balanced(rows: int, columns: int, seed: int) -> NDArray[np.bool_]:
    """A random (rows, columns) table, half of each row and of each column true.

    Starts from a chessboard, and swaps [[1, 0], [0, 1]] with [[0, 1], [1, 0]] at random pairs of
    rows and columns, which keeps every sum.
    """
    random = np.random.default_rng(seed)
    drawn: NDArray[np.bool_] = np.add.outer(np.arange(rows), np.arange(columns)) % 2 == 0
    for _ in range(SWAPS):
        two_rows = random.choice(rows, 2, replace=False)
        two_columns = random.choice(columns, 2, replace=False)
        square = drawn[np.ix_(two_rows, two_columns)]
        if square[0, 0] == square[1, 1] != square[0, 1] == square[1, 0]:
            drawn[np.ix_(two_rows, two_columns)] = ~square
    return drawn
