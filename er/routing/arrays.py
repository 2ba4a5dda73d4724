"""A router's terms as arrays, as both kernels of classification read them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

FREE = -1  # a slot of a table of hashes without a row


class Terms(Sequence[str]):
    """Terms as text, one a line; a list of them is made when one is asked for by its row.

    Tens of thousands of small strings hold the interpreter for milliseconds, and a gateway that
    reads its router again needs none of them.
    """

    def __init__(self, lines: bytes) -> None:
        self.lines = lines

    @cached_property
    def _list(self) -> list[str]:
        return self.lines.decode().split("\n")

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        return self._list[row]

    def __iter__(self) -> Iterator[str]:
        return iter(self._list)

    def __len__(self) -> int:
        return self.lines.count(b"\n") + 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._list == list(other)

    __hash__ = None  # type: ignore[assignment]


def joined(terms: Sequence[str]) -> tuple[Bytes, Ints]:
    """All terms' bytes, one after the other, and where each begins, (v + 1,)."""
    lines = terms.lines if isinstance(terms, Terms) else "\n".join(terms).encode()
    content = np.frombuffer(lines, np.uint8)
    is_end = content == ord("\n")
    ends = np.append(np.flatnonzero(is_end), len(content))
    starts = np.append(0, ends - np.arange(len(ends)))
    return content[~is_end], starts.astype(np.int32)


@dataclass(frozen=True)
class TermArrays:
    """`v` terms in `d` dimensions."""

    terms: Bytes  # all of them, one after the other
    starts: Ints  # (v + 1,) where each begins
    idf: Floats  # (v,)
    components: NDArray[np.float32]  # (v, d)
    sublinear: bool  # a term counts 1 + ln(count) in place of its count
    hashes: NDArray[np.uint64]  # (v,) of each term, as the kernel makes them
    table: Ints  # rows by hash, open addressing; FREE: none


def slots(terms_count: int) -> int:
    """Slots of the table of hashes: a power of two above twice the number of terms."""
    return 1 << (2 * terms_count).bit_length()


def word_classes() -> bytes:
    """For each byte 0 when it is no part of a word, else its lower case.

    All bytes of UTF-8 sequences are parts of words.
    """
    classes = bytearray(128) + bytes(range(128, 256))
    for byte in range(128):
        if chr(byte).isalnum() or chr(byte) == "_":
            classes[byte] = ord(chr(byte).lower())
    return bytes(classes)
