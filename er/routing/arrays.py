"""A router's terms as arrays, as both kernels of classification read them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

FREE = -1  # a slot of a table of hashes without a row


@dataclass(frozen=True)
class TermArrays:
    """`v` terms in `d` dimensions."""

    terms: Bytes  # all of them, one after the other
    starts: Ints  # (v + 1,) where each begins
    idf: Floats  # (v,)
    components: NDArray[np.float32]  # (v, d)
    sublinear: bool  # a term counts 1 + ln(count) in place of its count


def slots(terms_count: int) -> int:
    """Slots of the table of hashes: a power of two above twice the number of terms."""
    return 1 << (2 * terms_count).bit_length()


def word_classes(*, ascii_only: bool) -> bytes:
    """For each byte 0 when it is no part of a word, else its lower case.

    Bytes of UTF-8 sequences are parts of words unless `ascii_only`.
    """
    classes = bytearray(256) if ascii_only else bytearray(128) + bytes(range(128, 256))
    for byte in range(128):
        if chr(byte).isalnum() or chr(byte) == "_":
            classes[byte] = ord(chr(byte).lower())
    return bytes(classes)
