"""Compilation of the simulation's inner loops."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """`function` as machine code, kept on disk from its first call on."""
    made: Callable[P, R] = numba.njit(cache=True, error_model="numpy", nogil=True)(function)
    return made
