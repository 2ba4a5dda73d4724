"""Requests as rows: the one list of their columns, and their file."""

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
REPEATED = ["topic", "error", "text"]  # columns whose values recur: written once


@dataclass
class RequestLog:
    """Requests as they complete."""

    file: IO[str]
    requests: list[Request]
    run: Path  # the directory that they are kept in

    def add(self, request: Request) -> None:
        """Keep one completed request. Raises ErError when the directory cannot be written."""
        self.requests.append(request)
        with places.explain_run_write_errors(self.run):
            self.file.write(json.dumps(vars(request)) + "\n")


def frame(requests: Iterable[Request]) -> pd.DataFrame:
    """One row for each request."""
    return pd.DataFrame([row(request) for request in requests], columns=list(COLUMNS))


def row(request: Request) -> dict[str, Any]:
    """A request with its latencies in seconds."""
    known = {name: getattr(request, name) for name in COLUMNS if name not in LATENCIES}
    latencies = {name: getattr(request, name) if request.ok else float("nan") for name in LATENCIES}
    return known | latencies


def read(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """The requests of a file, all columns of them or these.

    Those that are asked for have one more, `measured`: neither warm-up nor cool-down; older runs
    have no cool-down. Raises OSError or an error of Arrow for a file that is damaged, and KeyError
    for one without a column.
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
    """Write a table of these columns, whole or not at all."""
    part = path.with_suffix(".part")
    table = requests.select(list(COLUMNS))
    with part.open("wb") as file:
        parquet.write_table(table, file, compression="zstd", use_dictionary=REPEATED)
    part.replace(path)
