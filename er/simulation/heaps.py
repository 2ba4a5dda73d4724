"""Priority queues on plain arrays, for compiled code."""

import numpy as np
from numpy.typing import NDArray

from er.simulation.jit import inner

Ints = NDArray[np.int64]
NEVER = np.iinfo(np.int64).max


# Children of an item, as many as a line of the cache has room for: each level is a line to wait
# for.
ARITY_BITS = 3
ARITY = 1 << ARITY_BITS


@inner
def push(heaps: Ints, row: int, size: int, item: int) -> None:
    """Add `item` to the min-heap in one row, which holds `size` items."""
    at = size
    while at > 0:
        parent = (at - 1) >> ARITY_BITS
        if heaps[row, parent] <= item:
            break
        heaps[row, at] = heaps[row, parent]
        at = parent
    heaps[row, at] = item


@inner
def pop(heaps: Ints, row: int, size: int) -> int:
    """Remove and return the least of the `size` items of the min-heap in one row."""
    least = heaps[row, 0]
    item = heaps[row, size - 1]
    last = size - 1
    at = 0
    while True:
        first = ARITY * at + 1
        if first >= last:
            break
        child, key = first, heaps[row, first]
        for other in range(first + 1, min(first + ARITY, last)):
            found = heaps[row, other]
            child = other if found < key else child
            key = min(key, found)
        if item <= key:
            break
        heaps[row, at] = key
        at = child
    heaps[row, at] = item
    return int(least)


@inner
def remove(heaps: Ints, row: int, size: int, at: int) -> None:
    """Remove the item at position `at` of the `size` items of the min-heap in one row."""
    while at > 0:
        parent = (at - 1) >> ARITY_BITS
        heaps[row, at] = heaps[row, parent]
        at = parent
    pop(heaps, row, size)


def tournament(count: int) -> Ints:
    """A tournament tree of minima with `count` leaves, all NEVER: they lie in its second half, the
    least of all at index 1."""
    leaves = 1
    while leaves < count:
        leaves *= 2
    return np.full(2 * leaves, NEVER)


@inner
def set_key(tree: Ints, leaf: int, key: int) -> None:
    """Set one leaf of a tournament tree."""
    at = leaf + (len(tree) >> 1)
    tree[at] = key
    at >>= 1
    while at:
        left, right = tree[2 * at], tree[2 * at + 1]
        least = left if left <= right else right
        if tree[at] == least:
            break
        tree[at] = least
        at >>= 1


@inner
def least_leaf(tree: Ints) -> int:
    """The first leaf whose key is the least."""
    half = len(tree) >> 1
    at = 1
    while at < half:
        at = 2 * at if tree[2 * at] == tree[at] else 2 * at + 1
    return at - half
