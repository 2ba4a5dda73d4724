"""A run on disk: written first, completed point by point, read by everything that comes after.

runs/<study>/<started>-<deployment>-<key>/
  config.json      the resolved configuration
  provenance.json  code, packages, host, command
  run.json         status: running, finished, failed or interrupted; tags
  requests/        c0008.parquet: every request of 8 users; c0008.jsonl while they are measured
  points.json      one entry for each measured point
  knee.json        the most users within the limits, where load.find_knee asked for them
  logs/            of the processes that were started
"""

import json
import math
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from er.config import Config
from er.config.plain import plain
from er.errors import ErError
from er.results.point import MISSING, Point, Summary
from er.results.request import Request

REPEATED = ["topic", "error", "text"]  # columns whose values recur: written once


@dataclass(frozen=True)
class RunDir:
    """Files of one run."""

    path: Path

    def write(self, name: str, value: object) -> None:
        """Write `value` as JSON, whole or not at all; NaN, which JSON does not have, as null."""
        target = self.path / name
        part = target.with_suffix(".part")
        part.write_text(json.dumps(_nan_to_null(value), indent=2, allow_nan=False) + "\n")
        part.replace(target)

    def read(self, name: str) -> Any:
        """Read a JSON file of this run."""
        return json.loads((self.path / name).read_text())

    def read_numbers(self, name: str) -> Any:
        """Read a JSON file of measured numbers: those without a value are NaN."""
        return null_to_nan(self.read(name))

    def add_point(self, point: Point) -> None:
        """Add one measured point."""
        points = sorted([*self.points(), point], key=lambda point: point.concurrency)
        self.write("points.json", list(map(asdict, points)))

    def points(self) -> list[Point]:
        """The points measured so far, in order of concurrency."""
        if not (self.path / "points.json").exists():
            return []
        return [point_of(entry) for entry in self.read("points.json")]

    def set_status(self, status: str) -> None:
        """Record how the run stands."""
        self.write("run.json", {**self.read("run.json"), "status": status, "ended": _now()})

    def requests(self) -> pd.DataFrame:
        """Every completed request of every point, warm-up included."""
        files = sorted((self.path / "requests").glob("*.parquet"))
        return (
            pd.concat(map(pd.read_parquet, files), ignore_index=True) if files else pd.DataFrame()
        )

    def keep_requests(self, users: int, requests: Iterable[Request]) -> None:
        """Write one point's requests, all at once."""
        self.keep_table(users, pa.Table.from_pandas(frame(requests), preserve_index=False))

    def keep_table(self, users: int, requests: pa.Table) -> None:
        """Write one point's requests, a row for each with the columns of `frame`."""
        path = self.path / "requests" / f"c{users:04d}.parquet"
        parquet.write_table(requests, path, compression="zstd", use_dictionary=REPEATED)

    @contextmanager
    def request_log(self, users: int) -> Iterator["RequestLog"]:
        """A log of one point's requests: lines while they come, a Parquet file at the end.

        What was logged is kept whatever ends the block, a killed process too.
        """
        lines = self.path / "requests" / f"c{users:04d}.jsonl"
        requests: list[Request] = []
        try:
            with lines.open("w", buffering=1) as file:
                yield RequestLog(file, requests)
        finally:
            if requests:
                self.keep_requests(users, requests)
            lines.unlink()


@dataclass
class RequestLog:
    """Requests as they complete."""

    file: IO[str]
    requests: list[Request]

    def add(self, request: Request) -> None:
        """Keep one completed request."""
        self.requests.append(request)
        self.file.write(json.dumps(vars(request)) + "\n")


def create(config: Config, key: str, provenance: dict[str, Any], tags: dict[str, str]) -> RunDir:
    """Make the directory of a new run.

    Raises ErError when it cannot be written.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    path = Path(config.runs_dir) / config.study / f"{stamp}-{config.deployment.id}-{key[:8]}"
    try:
        path = _fresh(path)
        (path / "requests").mkdir()
        (path / "logs").mkdir()
        run = RunDir(path)
        run.write("config.json", plain(config))
        run.write("provenance.json", provenance)
        run.write("run.json", {"status": "running", "started": _now(), "key": key, "tags": tags})
    except OSError as error:
        raise _unwritable(config, error) from error
    return run


def require_writable(config: Config) -> None:
    """Raise ErError unless runs can be written to `config.runs_dir`."""
    folder = Path(config.runs_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(config, error) from error


def frame(requests: Iterable[Request]) -> pd.DataFrame:
    """One row for each request, with its latencies in seconds (NaN where it failed)."""
    rows = []
    for request in requests:
        latencies = {
            "output_tokens": request.output_tokens,
            "ok": request.ok,
            "ttft_s": request.ttft_s if request.ok else float("nan"),
            "tpot_s": request.tpot_s if request.ok else float("nan"),
            "e2e_s": request.e2e_s if request.ok else float("nan"),
        }
        rows.append(vars(request) | latencies)
    return pd.DataFrame(rows)


def _unwritable(config: Config, error: OSError) -> ErError:
    return ErError(
        f"cannot write runs to runs_dir {config.runs_dir}: {error.strerror}: "
        "make it a directory you may write to, or set runs_dir=..."
    )


def _fresh(path: Path) -> Path:
    """`path`, or the same with the next free number: two starts may share a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, 1000):
        candidate = path if attempt == 1 else path.with_name(f"{path.name}-{attempt}")
        try:
            candidate.mkdir()
        except FileExistsError:
            continue
        return candidate
    raise FileExistsError(17, "too many runs with one name", str(path))


def point_of(entry: dict[str, Any]) -> Point:
    """A point from its JSON entry."""
    entry = null_to_nan(entry)
    names = [field.name for field in fields(Point) if field.type is Summary and field.name in entry]
    summaries = {name: Summary(**entry[name]) for name in names}
    return Point(**{**entry, **summaries})


def null_to_nan(value: Any) -> Any:
    """Measured numbers as they were before they were written as JSON."""
    if isinstance(value, dict):
        return {name: null_to_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [null_to_nan(item) for item in value]
    return MISSING if value is None else value


def _nan_to_null(value: Any) -> Any:
    """`value` without the numbers that JSON cannot hold."""
    if isinstance(value, dict):
        return {name: _nan_to_null(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_nan_to_null(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
