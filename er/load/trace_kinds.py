"""The kinds of traces: their columns, and the unit of their times.

The columns show the kind of a trace, and with it the unit of its times. Where two kinds have the
same columns and different units, the unit must be given (`load.trace_unit`). Sources:
github.com/Azure/AzurePublicDataset, kvcache-ai/Mooncake, alibaba-edu/qwen-bailian-usagetraces-anon,
HPMLL/BurstGPT, vllm-project/guidellm.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from er.errors import ConfigError
from er.load.rows import Row, rows

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
DATE = "date"
UNKNOWN = ""
HASHES = "hash_ids"
PATH = "workload.path=FILE"
# Columns that hold what is sent, or lead to it.
PROMPTS = {"body", "conversations", "data", "messages", "prompt", "text", "text_input", "texts",
           "turns"}  # fmt: skip
DELAYS = (
    "has delays within sessions, which follow answers, not a clock: give each row a time, or, "
    f"where the rows hold texts, play them with workload=jsonl {PATH}"
)


@dataclass(frozen=True)
class Kind:
    """What one kind of trace calls its columns, and how it writes a time."""

    name: str
    time: str
    input_tokens: str
    output_tokens: str
    unit: str  # of UNITS, or DATE; UNKNOWN where kinds with these columns differ
    marker_column: str = ""  # a column that only this kind has
    block_tokens: int = 0  # of each entry of `hash_ids`; 0: not known
    time_is_wait: bool = False  # a time is the wait since the row before


KINDS = (
    Kind("er", "time_s", "input_tokens", "output_tokens", "s"),
    Kind("Azure", "TIMESTAMP", "ContextTokens", "GeneratedTokens", DATE),
    Kind("Bailian", "timestamp", "input_length", "output_length", "s", "chat_id", 16),
    Kind("Mooncake", "timestamp", "input_length", "output_length", "ms", "hash_ids", 512),
    Kind("GuideLLM or aiperf", "timestamp", "input_length", "output_length", UNKNOWN),
    Kind("aiperf delays", "delay", "input_length", "output_length", "ms", time_is_wait=True),
    Kind("BurstGPT", "Timestamp", "Request tokens", "Response tokens", "s"),
)


@dataclass(frozen=True)
class Source:
    """A file, and its settings in the configuration."""

    path: Path
    unit: str = ""
    columns: tuple[tuple[str, str], ...] = ()  # ours, the file's
    rows: int = 0  # of its beginning; 0 for all


def kind_of(first: Row, source: Source) -> Kind:
    """The kind of trace that has these columns. Raises ConfigError when they are not known."""
    place, fields = first
    own = dict(source.columns)
    if own:
        missing = [name for name in own.values() if name not in fields]
        if missing or "time" not in own:
            raise ConfigError(
                f"{place} has no {', '.join(missing) or 'time'}: load.trace_columns takes "
                f"time, input_tokens and output_tokens of {', '.join(fields)}"
            )
        inputs, outputs = (own.get(name, name) for name in ("input_tokens", "output_tokens"))
        return Kind("own", own["time"], inputs, outputs, UNKNOWN)
    if _waits_in_sessions(fields):
        raise ConfigError(f"{place} {DELAYS}")
    for kind in KINDS:
        if kind.time in fields and (kind.marker_column or kind.time) in fields:
            return kind
    if PROMPTS.intersection(fields):
        raise ConfigError(
            f"{place} is a prompt, without a time: send it with workload=jsonl {PATH}"
        )
    known = ", ".join(dict.fromkeys(kind.time for kind in KINDS))
    raise ConfigError(
        f"{place} has no time: call it one of {known}, or name the columns: "
        "'load.trace_columns={time: ..., input_tokens: ..., output_tokens: ...}'"
    )


def holds_prompts(source: Source) -> bool:
    """Whether the file holds prompts without times, and not a trace.

    Raises ConfigError when it cannot be read.
    """
    _, fields = next(rows(source.path), ("", {}))
    timed = any(kind.time in fields for kind in KINDS) and not _waits_in_sessions(fields)
    return not (source.columns or timed) and not PROMPTS.isdisjoint(fields)


def unit_of(kind: Kind, first: Row, source: Source) -> float:
    """The unit of the trace's times in seconds; NaN for dates.

    Raises ConfigError when it is not known.
    """
    unit = source.unit or kind.unit
    if unit == UNKNOWN and parse_number(first[1][kind.time]) is None:
        unit = DATE
    if unit == DATE:
        return math.nan
    if unit not in UNITS:
        raise ConfigError(
            f"{first[0]}: the unit of {kind.time} is not known (Mooncake writes milliseconds, "
            f"Bailian and GuideLLM seconds): set load.trace_unit={'|'.join(UNITS)}"
        )
    return UNITS[unit]


def _waits_in_sessions(fields: Mapping[str, Any]) -> bool:
    return "delay" in fields and "timestamp" not in fields and "session_id" in fields


def parse_number(value: object) -> float | None:
    """A finite number, also one in a text; None for anything else."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
