"""Recorded arrivals: a file of times and, in most traces, token counts."""

import functools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

from er.config import Load
from er.errors import ConfigError
from er.load.answer import shorten
from er.load.rows import Row, rows
from er.load.trace_kinds import DELAYS, HASHES, Kind, Source, kind_of, parse_number, unit_of

TOKENS_AT_MOST = 1e9  # of a request


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request of a trace."""

    time_s: float  # since the first of the trace
    input_tokens: int  # 0 where the trace has no counts, then for all its requests
    output_tokens: int
    blocks: tuple[int, ...] = ()  # equal numbers at the start: the same tokens; () if not recorded


@dataclass(frozen=True)
class Trace:
    """A trace as it is replayed."""

    kind: str
    arrivals: tuple[Arrival, ...]  # in order of time
    without_tokens: int  # rows that were dropped since they have no tokens
    unused: tuple[str, ...]  # columns
    block_tokens: int = 0  # of each of an arrival's blocks


def source_of(load: Load) -> Source:
    """The trace of a load."""
    columns = tuple(sorted(load.trace_columns.items()))
    return Source(Path(load.trace), load.trace_unit, columns, load.trace_rows)


@functools.lru_cache(maxsize=1)
def read(source: Source) -> Trace:
    """All arrivals in order of time; in a trace with token counts, rows without them are dropped.

    Raises ConfigError, naming file and line, when the file cannot be read, its columns or their
    unit are not known, a line has no readable time, or all rows are dropped.
    """
    path = source.path
    others = rows(path)
    first = next(others, None)
    if first is None:
        raise ConfigError(f"{path} holds no arrivals: give JSON Lines, or CSV with a line of names")
    kind = kind_of(first, source)
    seconds = unit_of(kind, first, source)
    selected = islice(chain([first], others), source.rows or None)
    recorded, has_counts = _read_arrivals(selected, kind, seconds)
    arrivals = [arrival for arrival in recorded if arrival.input_tokens or not has_counts]
    if not arrivals:
        raise ConfigError(
            f"{path} has no row with {kind.input_tokens} and {kind.output_tokens} of 1 or more: "
            "give both, or remove the columns"
        )
    arrivals.sort(key=lambda arrival: arrival.time_s)
    first_s = arrivals[0].time_s
    used = {kind.time}
    if has_counts:
        used |= {kind.input_tokens, kind.output_tokens}
        used |= {HASHES} if kind.block_tokens else set()
    return Trace(
        kind=kind.name,
        arrivals=tuple(replace(each, time_s=each.time_s - first_s) for each in arrivals),
        without_tokens=len(recorded) - len(arrivals),
        unused=tuple(name for name in first[1] if name not in used),
        block_tokens=kind.block_tokens,
    )


def _read_arrivals(
    selected: Iterable[Row], kind: Kind, seconds: float
) -> tuple[list[Arrival], bool]:
    """The arrivals of rows in their order, and whether any row has both columns of tokens."""
    columns = {kind.input_tokens, kind.output_tokens}
    arrivals, has_counts, waited_s = [], False, 0.0
    for place, fields in selected:
        arrival = _arrival(place, fields, kind, seconds)
        if kind.time_is_wait:
            waited_s += arrival.time_s
            arrival = replace(arrival, time_s=waited_s)
        has_counts = has_counts or columns <= set(fields)
        arrivals.append(arrival)
    return arrivals, has_counts


def _arrival(place: str, fields: Mapping[str, Any], kind: Kind, seconds: float) -> Arrival:
    """The arrival of one row, with 0 tokens unless it has both counts."""
    value = fields.get(kind.time)
    time_s = _date_s(value) if math.isnan(seconds) else (parse_number(value) or 0.0) * seconds
    if not math.isnan(seconds) and parse_number(value) is None:
        time_s = math.nan
    if not math.isfinite(time_s) and value is None and "delay" in fields:
        raise ConfigError(f"{place} {DELAYS}")
    if not math.isfinite(time_s):
        raise ConfigError(f"{place} has no readable {kind.time}: correct or remove the line")
    names = (kind.input_tokens, kind.output_tokens)
    inputs, outputs = (_count(place, name, fields.get(name)) for name in names)
    if not inputs or not outputs:
        return Arrival(time_s, 0, 0)
    return Arrival(time_s, inputs, outputs, _blocks(place, fields) if kind.block_tokens else ())


def _blocks(place: str, fields: Mapping[str, Any]) -> tuple[int, ...]:
    """The numbers of a row's blocks; in CSV they are a JSON list."""
    value = fields.get(HASHES) or []
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, list) or not all(isinstance(number, int) for number in value):
        raise ConfigError(f"{place} has no list of whole numbers as {HASHES}: correct the line")
    return tuple(value)


def _date_s(value: object) -> float:
    """An ISO 8601 date in seconds since 1970, UTC unless it has a zone; NaN for anything else."""
    try:
        date = datetime.fromisoformat(str(value).strip())
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return math.nan


def _count(place: str, name: str, value: object) -> int:
    """A count of tokens (also written as 48.0); 0 when the row has none.

    Raises ConfigError for anything else: a broken row must not pass for one without tokens.
    """
    if value is None or str(value).strip().lower() in ("", "nan", "null", "none"):
        return 0
    number = parse_number(value)
    if number is None or not 0 <= number <= TOKENS_AT_MOST or number != int(number):
        raise ConfigError(
            f"{place} has {shorten(value)!r} as {name}, no count of tokens: correct or remove the "
            "line"
        )
    return int(number)
