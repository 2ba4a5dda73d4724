"""Compilation of the simulation's inner loops."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")


def digest_of(folder: Path) -> str:
    """A digest of all Python sources in a folder."""
    sources = b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))
    return hashlib.sha256(sources).hexdigest()


SOURCES = digest_of(Path(__file__).parent)


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """`function` as machine code, kept on disk from its first call on. It may create arrays."""
    return machine_code(function, _nrt=True)


def outer(function: Callable[P, R]) -> Callable[P, R]:
    """As `compiled`, for a function that creates no array: it counts no references (numba's option
    _nrt), which on tuples of arrays costs more than the work itself."""
    return machine_code(function, _nrt=False)


def inner(function: Callable[P, R]) -> Callable[P, R]:
    """As `outer`, for a function that only compiled code calls: it becomes part of its callers."""
    return machine_code(
        function, _nrt=False, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True
    )


def machine_code(function: Callable[P, R], **options: Any) -> Callable[P, R]:
    """`function`, compiled. Its machine code on disk grows stale with any source of this folder:
    numba looks at a function's own file only, not at those of the functions built into it."""
    made: Callable[P, R] = numba.njit(cache=True, error_model="numpy", nogil=True, **options)(
        function
    )
    made._cache._cache_file._source_stamp = SOURCES  # type: ignore[attr-defined]
    return made
