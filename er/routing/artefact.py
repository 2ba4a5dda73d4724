"""The file of a router: arrays and JSON in NumPy's npz, with a digest; never a pickle."""

import hashlib
import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from er.errors import ConfigError
from er.results.files import write_whole

FORMAT = "er-router-2"
NAMES = ("centres", "components", "idf", "prices", "sublinear_tf", "terms")

# What NumPy, zipfile and json raise on a file that is damaged or was never a router.
DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)

Arrays = dict[str, NDArray[Any]]


def digest(arrays: Arrays, metadata: dict[str, Any]) -> str:
    """SHA-256 of the content, in hexadecimal digits, however the file is compressed."""
    hashed = hashlib.sha256(json.dumps([FORMAT, metadata], sort_keys=True).encode())
    for name in NAMES:
        array = np.ascontiguousarray(arrays[name])
        hashed.update(f"{name} {array.dtype.str} {array.shape}".encode())
        hashed.update(array.data)
    return hashed.hexdigest()


def file_digest(path: Path) -> str:
    """The start of the SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def write(path: Path, arrays: Arrays, metadata: dict[str, Any]) -> None:
    """Write a router's file. Raises ErError when that cannot be done."""
    head = {"format": FORMAT, "digest": digest(arrays, metadata), "metadata": metadata}
    file = io.BytesIO()
    np.savez_compressed(file, head=np.frombuffer(json.dumps(head).encode(), np.uint8), **arrays)
    write_whole(path, file.getvalue())


def read(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and metadata of a router's file.

    Raises ConfigError, naming the file, when it is missing, is not a router or was changed.
    """
    if not path.is_file():
        raise ConfigError(f"there is no router at {path}: train one, or correct the path")
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            head = json.loads(bytes(file["head"]))
            arrays = {name: file[name] for name in NAMES}
        known, expected, metadata = head["format"], head["digest"], head["metadata"]
    except DAMAGE as error:
        raise ConfigError(f"{path} is not a router, or is cut short: train it again") from error
    if known != FORMAT:
        raise ConfigError(f"{path} has the format {known}, not {FORMAT}: train it again")
    if digest(arrays, metadata) != expected:
        raise ConfigError(f"{path} was changed after it was written: train it again")
    return arrays, metadata
