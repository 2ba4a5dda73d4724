"""Read rows of JSON Lines, a JSON array or CSV, compressed or not, and of Parquet.

The first bytes of a file decide its format, not its name. Rows are read one after the other, so the
first rows of a large file are read quickly.
"""

import csv
import gzip
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any

from er.errors import ConfigError

GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"
ROWS_TOGETHER = 4096  # rows of Parquet that are read at once
READ_TOGETHER = 1 << 16  # characters of a JSON array that are read at once
ENTRY_AT_MOST = 1 << 26  # characters of one entry
SEPARATOR = re.compile(r"\s*,?\s*")
Row = tuple[str, Mapping[str, Any]]  # place in the file, fields


def rows(path: Path) -> Iterator[Row]:
    """The place and the fields of each row that is not blank.

    Raises ConfigError, naming file and line, when it cannot be read or a row is not an object.
    """
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} is not a file that can be read to its end: give a file")
    try:
        if _begins_with(path, PARQUET):
            yield from _parquet(path)
            return
        with _text(path) as file:
            start = _start_of(file)
            if start == "[":
                yield from _array(file, path)
            elif start in ("{", ""):
                yield from _lines(file, path)
            else:
                yield from _csv(file, path)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8: give it in UTF-8") from error
    except (OSError, EOFError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot read {path} ({reason}): correct the path or the file") from error


def _begins_with(path: Path, mark: bytes) -> bool:
    with path.open("rb") as raw:
        return raw.read(len(mark)) == mark


def _parquet(path: Path) -> Iterator[Row]:
    from pyarrow import ArrowException, parquet  # imported only here: it is slow

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(ROWS_TOGETHER):
                for fields in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number},", fields
    except ArrowException as error:
        raise ConfigError(f"cannot read {path} ({error}): correct the file") from error


@contextmanager
def _text(path: Path) -> Iterator[IO[str]]:
    opened = gzip.open if _begins_with(path, GZIP) else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        yield file


def _start_of(file: IO[str]) -> str:
    """The first character that is not white space; rewinds the file to its start."""
    character = " "
    while character and character.isspace():
        character = file.read(1)
    file.seek(0)
    return character


def _lines(file: IO[str], path: Path) -> Iterator[Row]:
    """The objects of JSON Lines, or a single object that spreads over several lines."""
    for number, line in enumerate(iter(lambda: file.readline(ENTRY_AT_MOST), ""), 1):
        if number == 1 and _json(line) is None:  # one object, spread over lines
            file.seek(0)
            value = _json(file.read(ENTRY_AT_MOST))
            yield f"{path}:1", _object(value, f"{path}:1")
            return
        if line.strip():
            yield f"{path}:{number}", _object(_json(line), f"{path}:{number}")


def _array(file: IO[str], path: Path) -> Iterator[Row]:
    """The entries of a JSON array one after the other, so that it need not fit in memory."""
    decoder, number, size = json.JSONDecoder(), 1, READ_TOGETHER
    text, at = file.read(size).lstrip(), 1
    while True:
        place = f"{path}, entry {number},"
        separator = SEPARATOR.match(text, at)
        assert separator  # it also matches an empty text
        begin = separator.end()
        if text.startswith("]", begin):
            if text[begin + 1 :].strip() or file.read(READ_TOGETHER).strip():
                raise ConfigError(f"{path} goes on after its JSON array: correct the file")
            return
        try:
            value, end = decoder.raw_decode(text, begin)
        except (ValueError, RecursionError):
            # Read twice as much each time, so that a long entry is not parsed too often.
            more = file.read(size) if len(text) - at < ENTRY_AT_MOST else ""
            if not more:
                reason = "is not JSON, or the file ends in it"
                raise ConfigError(f"{place} {reason}: correct it") from None
            text, at, size = text[at:] + more, 0, 2 * size
        else:
            if number > 1 and "," not in separator[0]:
                raise ConfigError(f"{place} has no comma before it: correct the file")
            yield place, _object(value, place)
            at, number, size = end, number + 1, READ_TOGETHER


def _csv(file: IO[str], path: Path) -> Iterator[Row]:
    """Rows of CSV by the names in the first line, which also shows the delimiter."""
    heading = file.readline(ENTRY_AT_MOST)
    delimiter = max(",;\t", key=heading.count)
    names = [name.strip() for name in next(csv.reader([heading], delimiter=delimiter))]
    twice = {name for name in names if name and names.count(name) > 1}
    if twice:
        raise ConfigError(f"{path}:1 names {', '.join(sorted(twice))} twice: correct the heading")
    reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
    for values in reader:
        place = f"{path}:{reader.line_num + 1}"
        if any(value.strip() for value in values[len(names) :]):
            raise ConfigError(f"{place} has more values than the heading has names: correct it")
        if any(value.strip() for value in values):
            yield place, dict(zip_longest(names, values[: len(names)], fillvalue=""))


def _json(text: str) -> Any:
    """The value of a JSON text; None for anything else."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _object(value: Any, place: str) -> Mapping[str, Any]:
    """Raise ConfigError unless a value is a JSON object; return it."""
    if not isinstance(value, dict):
        raise ConfigError(f"{place} is not a JSON object: correct the line")
    return value
