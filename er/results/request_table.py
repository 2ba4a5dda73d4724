"""Requests as rows of a table: its columns, and its file."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from er.results import places
from er.results.request import Request

LATENCIES = ("ttft_s", "tpot_s", "e2e_s")  # NaN where a request failed
COLUMNS = (*(field.name for field in fields(Request)), "output_tokens", "ok", *LATENCIES)
REPEATED = ["topic", "error", "text"]  # columns whose values recur: stored once, in a dictionary


@dataclass
class RequestLog:
    """The log of requests as they complete."""

    file: IO[str]
    requests: list[Request]
    run: Path  # run directory, for messages

    def add(self, request: Request) -> None:
        """Log one completed request. Raises ErError when the directory cannot be written."""
        self.requests.append(request)
        with places.explain_run_write_errors(self.run):
            self.file.write(json.dumps(vars(request)) + "\n")


def frame(requests: Iterable[Request]) -> pd.DataFrame:
    """A table with a row for each request."""
    return pd.DataFrame([row(request) for request in requests], columns=list(COLUMNS))


def row(request: Request) -> dict[str, Any]:
    """The columns of a request, with its latencies in seconds (NaN unless it is ok)."""
    known = {name: getattr(request, name) for name in COLUMNS if name not in LATENCIES}
    latencies = {name: getattr(request, name) if request.ok else float("nan") for name in LATENCIES}
    return known | latencies


def read(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """The requests of a file: all columns, or `columns` and `measured`.

    `measured` is neither warm-up nor cool-down, which older runs do not have. Raises OSError or an
    error of Arrow for a damaged file, and KeyError for a file without one of the columns.
    """
    if not columns:
        return pd.read_parquet(path)
    known = parquet.read_schema(path).names
    unmeasured = [name for name in ("warmup", "cooldown") if name in known]
    absent = {*columns} - {*known, "measured"}
    if absent:
        raise KeyError(f"no column {min(absent)}")
    wanted = {*columns} & {*known}
    rows = pd.read_parquet(path, columns=[*dict.fromkeys([*sorted(wanted), *unmeasured])])
    rows["measured"] = ~rows[unmeasured].astype(bool).any(axis=1)
    return rows[[*dict.fromkeys([*columns, "measured"])]]


def write(requests: pa.Table, path: Path) -> None:
    """Write a table with the columns COLUMNS, in one step."""
    part = path.with_suffix(".part")
    table = requests.select(list(COLUMNS))
    with part.open("wb") as file:
        parquet.write_table(table, file, compression="zstd", use_dictionary=REPEATED)
    part.replace(path)
