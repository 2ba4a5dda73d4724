"""Arrivals recorded elsewhere: a file of times and, where it has them, token counts.

JSON Lines, or CSV with a line of names. Known are this project's own names (`time_s`,
`input_tokens`, `output_tokens`), those of the Azure LLM inference traces (`TIMESTAMP`, a date;
`ContextTokens`, `GeneratedTokens`; github.com/Azure/AzurePublicDataset) and those of Mooncake
(`timestamp`, milliseconds; `input_length`, `output_length`; github.com/kvcache-ai/Mooncake).
"""

import csv
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from er.corpus import jsonl
from er.errors import ErError


@dataclass(frozen=True)
class Arrival:
    """One request of a trace."""

    time_s: float  # since the first of the trace
    input_tokens: int  # 0 where the trace does not tell, as it then does for none
    output_tokens: int


@dataclass(frozen=True)
class Names:
    """What one kind of trace calls its columns, and how it writes a time."""

    time: str
    input_tokens: str
    output_tokens: str
    seconds: Callable[[object], float]


def _date_s(value: object) -> float:
    """A date as seconds; without a zone it is UTC."""
    date = datetime.fromisoformat(str(value))
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _number_s(value: object) -> float:
    return float(str(value))


def _milliseconds_s(value: object) -> float:
    return float(str(value)) / 1e3


KNOWN = (
    Names("time_s", "input_tokens", "output_tokens", _number_s),
    Names("TIMESTAMP", "ContextTokens", "GeneratedTokens", _date_s),
    Names("timestamp", "input_length", "output_length", _milliseconds_s),
)

Row = tuple[str, Mapping[str, object]]  # place in the file, fields


@functools.lru_cache(maxsize=1)
def read(path: Path) -> tuple[Arrival, ...]:
    """All arrivals in order of time.

    Raises ErError, naming file and line, when the file cannot be read, a line has no time, a count
    is below 1, or some lines have token counts and others do not.
    """
    rows = list(_rows(path))
    if not rows:
        raise ErError(f"{path} holds no arrivals: give JSON Lines, or CSV with a line of names")
    names = _names(*rows[0])
    arrivals = sorted((_arrival(*row, names) for row in rows), key=lambda arrival: arrival.time_s)
    if any(not a.input_tokens for a in arrivals) and any(a.input_tokens for a in arrivals):
        raise ErError(f"{path} has token counts on some lines only: give them on all or on none")
    first_s = arrivals[0].time_s
    return tuple(replace(arrival, time_s=arrival.time_s - first_s) for arrival in arrivals)


def _rows(path: Path) -> Iterator[Row]:
    if path.suffix != ".csv":
        yield from jsonl.objects(path)
        return
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            for fields in reader:
                yield f"{path}:{reader.line_num}", fields
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ErError(f"cannot read {path} ({error}): correct the path or the file") from error


def _names(place: str, first: Mapping[str, object]) -> Names:
    for names in KNOWN:
        if names.time in first:
            return names
    known = ", ".join(names.time for names in KNOWN)
    raise ErError(f"{place} has no time: call it one of {known}")


def _arrival(place: str, fields: Mapping[str, object], names: Names) -> Arrival:
    try:
        time_s = names.seconds(fields[names.time])
    except (KeyError, ValueError, OverflowError):
        time_s = math.nan
    if not math.isfinite(time_s):
        raise ErError(f"{place} has no readable {names.time}: correct or remove the line")
    counts = [fields.get(name) for name in (names.input_tokens, names.output_tokens)]
    if counts == [None, None]:
        return Arrival(time_s, 0, 0)
    try:
        input_tokens, output_tokens = (int(str(count)) for count in counts)
    except ValueError:
        input_tokens = output_tokens = 0
    if min(input_tokens, output_tokens) < 1:
        raise ErError(
            f"{place} has no {names.input_tokens} and {names.output_tokens} of 1 or more: "
            "correct or remove the line"
        )
    return Arrival(time_s, input_tokens, output_tokens)
