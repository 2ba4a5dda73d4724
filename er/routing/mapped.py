"""A router as plain arrays in a file: one process reads and checks it, another maps it at once.

    python -m er.routing.mapped ROUTER FILE       (exit code 2: FILE says what is wrong)

Reading a router takes some 100 ms (decompression, digests, hashing); a gateway that relays cannot
stand still for so long, and a mapping takes none of it.
"""

import json
import mmap
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from er import cli
from er.errors import ErError
from er.routing import native, router
from er.routing.arrays import TermArrays, Terms
from er.routing.artefact import file_digest
from er.routing.router import Router

ALIGNMENT = 64  # bytes
LENGTH_BYTES = 8  # of the head's length, at the beginning


def write(path: Path, file: BinaryIO) -> None:
    """Write a router's arrays one after the other, behind a head that says where they are.

    Raises ErError when the file at `path` is not an intact router.
    """
    trained = router.load(path)
    found = trained.arrays
    assert found
    arrays: dict[str, Any] = {
        "lines": np.frombuffer("\n".join(trained.terms).encode(), np.uint8),
        "terms": found.terms,
        "starts": found.starts,
        "idf": found.idf,
        "components": found.components,
        "hashes": found.hashes,
        "table": found.table,
        "centres": np.ascontiguousarray(trained.centres),
        "prices": np.ascontiguousarray(trained.prices),
    }
    at, places = 0, {}
    for name, array in arrays.items():
        places[name] = at, array.dtype.str, array.shape
        at += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    head = {
        "places": places,
        "sublinear_tf": trained.sublinear_tf,
        "metadata": trained.metadata,
        "file_digest": file_digest(path),
        "kernel": native.kernel(),
    }
    text = json.dumps(head).encode()
    text += b" " * (-(LENGTH_BYTES + len(text)) % ALIGNMENT)
    file.write(len(text).to_bytes(LENGTH_BYTES, "little") + text)
    for array in arrays.values():
        file.write(array.data)
        file.write(bytes(-array.nbytes % ALIGNMENT))


def load(descriptor: int) -> tuple[Router, str]:
    """The router that `write` has written to an open file, and its own file's digest.

    Raises ErError where it was written for another kernel, whose tables of hashes differ.
    """
    memory = mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)
    begin = LENGTH_BYTES + int.from_bytes(memory[:LENGTH_BYTES], "little")
    head = json.loads(memory[LENGTH_BYTES:begin])
    if head["kernel"] != native.kernel():
        raise ErError(
            f"the router was read for {head['kernel']}, {native.kernel()} decides here: start the "
            "gateway again"
        )
    arrays: dict[str, Any] = {
        name: np.ndarray(shape, dtype, memory, begin + at)
        for name, (at, dtype, shape) in head["places"].items()
    }
    terms = Terms(arrays.pop("lines").tobytes())
    centres, prices = arrays.pop("centres"), arrays.pop("prices")
    found = TermArrays(**arrays, sublinear=head["sublinear_tf"])
    loaded = Router(
        terms=terms,
        idf=found.idf,
        components=found.components,
        centres=centres,
        prices=prices,
        sublinear_tf=found.sublinear,
        metadata=head["metadata"],
        arrays=found,
    )
    return loaded, head["file_digest"]


def main() -> int:
    """0, or 2 where the file then holds what is wrong in place of a router."""
    with cli.loading(), Path(sys.argv[2]).open("wb") as file:
        try:
            write(Path(sys.argv[1]), file)
        except ErError as error:
            file.write(str(error).encode())
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
