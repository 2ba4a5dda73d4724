"""kernel.c, compiled when it is needed first: decides as kernel.py does, without LLVM in memory.

The library lies beside the source, or in the user's cache where that cannot be written. Without a
C compiler there is none, and kernel.py is used.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from er.routing.arrays import FREE, Bytes, Floats, Ints, TermArrays, slots
from er.routing.choice import Choice

SOURCE = Path(__file__).with_name("kernel.c")
FLAGS = ("-O3", "-fPIC", "-shared", "-ffp-contract=off", "-fno-fast-math")
VARIABLE = "ER_ROUTING_KERNEL"  # numba: do not use the C compiler

Library = ctypes.PyDLL  # keeps the interpreter's lock: calls take microseconds


@functools.cache
def library() -> Library | None:
    """The compiled kernel; None without a C compiler, or where it is not wanted."""
    compiler = shutil.which("cc")
    if os.environ.get(VARIABLE) == "numba":
        return None
    content = SOURCE.read_bytes() + " ".join((*FLAGS, platform.machine())).encode()
    name = f"kernel-{hashlib.sha256(content).hexdigest()[:16]}.so"
    for folder in (SOURCE.with_name("__pycache__"), _user_cache()):
        file = folder / name
        try:
            if not file.exists():
                if not compiler:
                    continue
                _compile(compiler, file)
            return _declare(ctypes.PyDLL(str(file)))
        except (OSError, subprocess.CalledProcessError):
            continue
    return None


def kernel() -> str:
    """Which kernel decides here: they hash terms in ways of their own."""
    found = library()
    return Path(found._name).name if found else "numba"


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "er"


def _compile(compiler: str, file: Path) -> None:
    """Raises OSError or CalledProcessError where it cannot be done."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.{os.getpid()}")  # others may compile it too
    try:
        command = [compiler, *FLAGS, "-o", str(unfinished), str(SOURCE), "-lm"]
        subprocess.run(command, check=True, capture_output=True)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def _declare(library: Library) -> Library:
    pointer, integer, number = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
    library.build_table.argtypes = [pointer, pointer, integer, pointer, pointer, ctypes.c_uint64]
    library.build_table.restype = None
    library.count_terms.argtypes = [pointer, ctypes.c_char_p, integer]
    library.count_terms.restype = integer
    library.embed.argtypes = [pointer, integer, pointer]
    library.embed.restype = number
    library.score.argtypes = [pointer, number, pointer, pointer, integer, integer, pointer]
    library.score.restype = None
    library.classify.argtypes = [pointer, ctypes.c_char_p, integer]
    library.classify.restype = ctypes.c_int
    library.chooser.argtypes = [pointer]
    library.chooser.restype = ctypes.py_object
    return library


def hash_table(library: Library, terms: Bytes, starts: Ints) -> tuple[NDArray[np.uint64], Ints]:
    """The hash of each row's term, and an open-addressing table of rows."""
    hashes = np.empty(len(starts) - 1, np.uint64)
    table = np.full(slots(len(hashes)), FREE, np.int32)
    library.build_table(
        terms.ctypes.data, starts.ctypes.data, len(hashes), hashes.ctypes.data, table.ctypes.data,
        len(table) - 1,
    )  # fmt: skip
    return hashes, table


class _Terms(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("terms", "starts", "hashes", "table")),
        ("mask", ctypes.c_uint64),
        *((name, ctypes.c_void_p) for name in ("counts", "touched", "idf", "components")),
        *((name, ctypes.c_int64) for name in ("terms_count", "dimensions", "sublinear")),
    )


class _Router(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("terms", "centres", "offsets")),
        ("experts", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("projected", "scores")),
    )


class Kernel:
    """See `lookup.Kernel`."""

    def __init__(
        self, library: Library, arrays: TermArrays, centres: Floats, offsets: Floats
    ) -> None:
        self._library = library
        terms_count, self._dimensions = arrays.components.shape
        self.counts = np.zeros(terms_count, np.int32)
        self.touched = np.empty(terms_count, np.int32)
        self._scores = (ctypes.c_double * len(centres))()
        self._projected = np.empty(self._dimensions)
        self._kept = (arrays, centres, offsets)  # as long as C has their addresses
        self._terms = _Terms(
            arrays.terms.ctypes.data, arrays.starts.ctypes.data, arrays.hashes.ctypes.data,
            arrays.table.ctypes.data, len(arrays.table) - 1, self.counts.ctypes.data,
            self.touched.ctypes.data, arrays.idf.ctypes.data, arrays.components.ctypes.data,
            terms_count, self._dimensions, arrays.sublinear,
        )  # fmt: skip
        self._address = ctypes.addressof(self._terms)
        self._experts = centres.ctypes.data, offsets.ctypes.data, len(centres)
        self._router = _Router(
            self._address, *self._experts, self._projected.ctypes.data,
            ctypes.addressof(self._scores),
        )  # fmt: skip
        self._router_address = ctypes.addressof(self._router)
        self.choose: Callable[[str], Choice] = library.chooser(self._router_address)

    def count(self, words: str) -> int:
        """See `lookup.Kernel`."""
        text = words.encode()
        found = int(self._library.count_terms(self._address, text, len(text)))
        if found < 0:
            raise MemoryError
        return found

    def embed(self, touched_count: int) -> tuple[Floats, float]:
        """See `lookup.Kernel`."""
        projected = np.empty(self._dimensions)
        length = self._library.embed(self._address, touched_count, projected.ctypes.data)
        return projected, float(length)

    def score(self, projected: Floats, length: float) -> list[float]:
        """See `lookup.Kernel`."""
        address, scores = projected.ctypes.data, ctypes.addressof(self._scores)
        self._library.score(address, length, *self._experts, self._dimensions, scores)
        return self._scores[:]

    def classify(self, words: str) -> list[float]:
        """See `lookup.Kernel`."""
        text = words.encode()
        if self._library.classify(self._router_address, text, len(text)):
            raise MemoryError
        return self._scores[:]
