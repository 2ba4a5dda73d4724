"""Equal shares: prices that even out the load, and assignments to clusters of one size.

Both come from one linear programme, the transport of n prompts to k experts of equal capacity: its
dual variables are the prices, its solution is the assignment. An expert's price is taken off its
score, so that a prompt goes to the expert of the highest score less price.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.intp]

RESAMPLES = 50
RESAMPLED_AT_MOST = 1000  # prompts of one resample: more would only take longer
SWEEPS_AT_MOST = 100
NEARLY_EVEN = 0.02


def prices(scores: Floats) -> Floats:
    """Prices, with a mean of zero, that give every expert the same load on these prompts.

    `scores` is (prompts, experts). Any prices do that lie between what keeps an expert's prompts
    and what would win others'; these are in the middle.
    """
    _, losses = cheapest_moves(scores, equal_assignment(scores))
    found = all_shortest(losses).mean(axis=1)
    centred: Floats = found - found.mean()
    return centred


def steady_prices(scores: Floats, seed: int = 0) -> Floats:
    """Prices for more prompts of the same kind, when these are few: they even out the load on
    these nearly, and on others better than `prices` do.

    An exact price hangs on the few prompts nearest to its border. The mean over resamples drawn
    with replacement (bagging, Breiman 1996) hangs on more of them, and moves off a border that
    many equal prompts lie on.
    """
    generator = np.random.default_rng(seed)
    size = min(len(scores), RESAMPLED_AT_MOST)
    draws = generator.integers(0, len(scores), (RESAMPLES, size))
    mean: Floats = np.mean([prices(scores[draw]) for draw in draws], axis=0)
    return mean


def rough_prices(scores: Floats) -> Floats:
    """Prices that give nearly equal loads, quickly.

    One expert after the other gets the price at which it wins just its share, the others' prices
    given.
    """
    count, experts = scores.shape
    share = count / experts
    losers = min(round(count - share), count - 1)
    found = np.zeros(experts)
    for _ in range(SWEEPS_AT_MOST if experts > 1 else 0):
        for expert in range(experts):
            net = scores - found
            net[:, expert] = -np.inf
            gains = scores[:, expert] - net.max(axis=1)
            found[expert] = np.partition(gains, losers)[losers]
        load = np.bincount((scores - found).argmax(axis=1), minlength=experts)
        if np.abs(load - share).max() <= max(1.0, NEARLY_EVEN * share):
            break
    return found


def equal_assignment(scores: Floats) -> Labels:
    """The assignment of the highest total score whose cluster sizes differ by one at most.

    Assigning by prices is optimal for the sizes that come out. Single prompts then move along the
    cheapest path from the largest cluster to the smallest, which keeps it optimal.
    """
    labels: Labels = (scores - rough_prices(scores)).argmax(axis=1)
    while True:
        sizes = np.bincount(labels, minlength=scores.shape[1])
        largest, smallest = int(sizes.argmax()), int(sizes.argmin())
        if sizes[largest] - sizes[smallest] <= 1:
            return labels
        movers, losses = cheapest_moves(scores, labels)
        for source, target in cheapest_path(losses, largest, smallest):
            labels[movers[source, target]] = target


def cheapest_moves(scores: Floats, labels: Labels) -> tuple[Labels, Floats]:
    """For each pair of clusters, the prompt that loses least by moving, and what it loses."""
    clusters = scores.shape[1]
    movers = np.zeros((clusters, clusters), np.intp)
    losses = np.full((clusters, clusters), np.inf)
    for source in range(clusters):
        members = np.flatnonzero(labels == source)
        if len(members):
            loss = scores[members, source][:, None] - scores[members]
            movers[source] = members[loss.argmin(axis=0)]
            losses[source] = loss.min(axis=0)
    return movers, losses


def cheapest_path(losses: Floats, start: int, end: int) -> list[tuple[int, int]]:
    """Bellman and Ford's shortest path between two clusters, as steps (from, to)."""
    clusters = len(losses)
    distance = np.full(clusters, np.inf)
    distance[start] = 0.0
    previous = np.full(clusters, start)
    for _ in range(clusters - 1):
        through = distance[:, None] + losses
        better = through.min(axis=0) < distance - 1e-12
        previous[better] = through.argmin(axis=0)[better]
        distance = np.where(better, through.min(axis=0), distance)
    path = []
    while end != start:
        path.append((int(previous[end]), end))
        end = int(previous[end])
    return path[::-1]


def all_shortest(losses: Floats) -> Floats:
    """Floyd and Warshall's lengths of the shortest paths between all clusters."""
    lengths = losses.copy()
    np.fill_diagonal(lengths, 0.0)
    for middle in range(len(lengths)):
        lengths = np.minimum(lengths, lengths[:, middle, None] + lengths[middle])
    return lengths
