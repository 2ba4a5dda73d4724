"""A run on disk: points are added to it one by one, and everything later reads them from it.

runs/<study>/<deployment>-<key>/
  run.json         key, status, tags, when its first measurement began and its last point was added
  config.json      the configuration of the newest command that measured
  provenance.json  code, packages, host and command line of that command
  sessions/        for each command that measured: both, and the logs of the command before it
  requests/        c0008.parquet: every request of 8 users; c0008.jsonl while they are measured
  gpus/            c0008.csv: samples of each GPU in each second of that point, where there are GPUs
  nodes/           what serves on the other nodes, of a job on several nodes
  points.json      one entry for each measured point
  knee.json        the most users within the limits, with load.find_knee=true
  logs/            output of the processes that were started
  set_aside/       points and requests that were measured again: invalid or interrupted ones
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from er.config.plain import plain
from er.errors import ErError
from er.results import names, places, request_table, shapes
from er.results.files import write_whole
from er.results.json_file import null_to_nan, point_of, text_of
from er.results.point import Point
from er.results.request import Request
from er.results.request_table import RequestLog

POINT_FILE = r"c\d{4,}"  # as `_name_of` writes it: a copy that a person made is of no point


@dataclass(frozen=True)
class RunDir:
    """Files of one run."""

    path: Path

    def write(self, name: str, value: object) -> None:
        """Write `value` as JSON, whole or not at all; NaN, which JSON does not have, as null."""
        write_whole(self.path / name, text_of(value).encode())

    def read(self, name: str) -> Any:
        """Read a JSON file of this run.

        Raises ErError when it is missing, damaged or holds a value that no run has. Looking up a
        key that the file does not have raises ErError too.
        """
        try:
            text = (self.path / name).read_text()
        except FileNotFoundError as error:
            raise self.unusable(name, "missing") from error
        except (OSError, UnicodeDecodeError) as error:
            raise self.damaged(name, getattr(error, "strerror", "it is not text")) from error
        return shapes.parse(name, text, partial(self.damaged, name))

    def damaged(self, name: str, what: str) -> ErError:
        """The error for a file with content that no run of er has; `what` describes the content."""
        return self.unusable(name, f"damaged ({what})")

    def unusable(self, name: str, how: str) -> ErError:
        """The error for a file that is missing or damaged, as `how` says."""
        return ErError(
            f"{self.path / name} is {how}: put the file back, or move {self.path} away and "
            "measure again"
        )

    def read_numbers(self, name: str) -> Any:
        """Read a JSON file of measured numbers: those without a value are NaN."""
        return null_to_nan(self.read(name))

    def check(self) -> None:
        """Raise ErError unless every file can be read and the record identifies the run."""
        for name in (names.CONFIG, names.RECORD, names.PROVENANCE):
            self.read(name)
        for path in sorted(self.path.glob("*.json")):
            self.read(path.name)
        id_of(self.read(names.RECORD))
        self.requests("concurrency")

    def has(self, name: str) -> bool:
        """Whether the run has this file."""
        return (self.path / name).exists()

    def points(self) -> list[Point]:
        """The points measured so far, in order of concurrency."""
        if not self.has(names.POINTS):
            return []
        return [point_of(entry) for entry in self.read(names.POINTS)]

    def valid_point(self, concurrency: int) -> Point | None:
        """The point that was measured at this concurrency, if it is valid."""
        found = [point for point in self.points() if point.concurrency == concurrency]
        return found[0] if found and not found[0].invalid else None

    def add_point(self, point: Point) -> None:
        """Add one measured point, whose requests have already been written."""
        points = sorted([*self.points(), point], key=lambda point: point.concurrency)
        self.write(names.POINTS, list(map(asdict, points)))
        self.write(names.RECORD, {**self.read(names.RECORD), "ended": _now()})

    def files_of_point(self, concurrency: int) -> list[Path]:
        """The files of requests and of samples of GPUs of one point."""
        folders = (names.REQUESTS, names.GPUS)
        return [f for name in folders for f in self.path.glob(f"{name}/{_name_of(concurrency)}.*")]

    def set_aside(self, concurrency: int) -> None:
        """Move the files and the entry of a point that will be measured again to set_aside/."""
        files, points = self.files_of_point(concurrency), self.points()
        old = [point for point in points if point.concurrency == concurrency]
        if not (files or old):
            return
        place = f"{names.SET_ASIDE}/{_next_number(self.path / names.SET_ASIDE)}"
        self.write(f"{place}/{names.POINTS}", list(map(asdict, old)))
        if old:
            kept = [point for point in points if point.concurrency != concurrency]
            self.write(names.POINTS, list(map(asdict, kept)))
        for file in files:
            file.rename(self.path / place / file.name)

    def make_folders(self) -> None:
        """Make the folders that a measurement writes to, where they are not there."""
        for folder in (names.REQUESTS, names.LOGS):
            (self.path / folder).mkdir(exist_ok=True)

    def create(self, key: str) -> None:
        """Make the folders and the record of a new run; `key` is its key of `er.results.keys`."""
        self.make_folders()
        self.write(names.RECORD, {"status": "running", "started": _now(), "key": key})

    def begin(self, config: object, provenance: dict[str, Any], tags: dict[str, str]) -> None:
        """Record that a command starts measuring, with its configuration and provenance."""
        session = {"started": _now(), "config": plain(config), "provenance": provenance}
        number = _next_number(self.path / names.SESSIONS)
        self.write(f"{names.SESSIONS}/{number}/session.json", session)
        logs = self.path / names.LOGS
        if any(logs.iterdir()):  # of the command before
            logs.rename(self.path / names.SESSIONS / number / "logs_before")
            logs.mkdir()
        self.write(names.CONFIG, session["config"])
        self.write(names.PROVENANCE, provenance)
        self.write(names.RECORD, {**self.read(names.RECORD), "status": "running", "tags": tags})

    def adopt(self, config: object, other: "RunDir", tags: dict[str, str]) -> None:
        """Record that the whole run was measured as `other`, a run of another study."""
        own = {"study": self.path.parent.name, "tags": tags}
        place = f"{other.path.parent.name}/{other.path.name}"
        self.write(names.CONFIG, plain(config))
        self.write(names.RECORD, {**other.read(names.RECORD), **own, "taken_from": place})

    def relabel(self, tags: dict[str, str]) -> None:
        """Replace the tags by those of a later command that uses the run and measures nothing."""
        self.write(names.RECORD, {**self.read(names.RECORD), "tags": tags})

    def end(self, status: str) -> None:
        """Record how the command ended: finished, failed or interrupted."""
        self.write(names.RECORD, {"ended": _now(), **self.read(names.RECORD), "status": status})

    def end_early(self, error: BaseException) -> None:
        """Record that `error` ended the command, if the directory can still be written.

        If it cannot, `status` reports the run as interrupted once its process is gone.
        """
        with suppress(ErError):
            self.end("failed" if isinstance(error, Exception) else "interrupted")

    def status(self) -> str:
        """`finished`, `failed`, `interrupted` or `running`.

        A run that is recorded as running and that no process holds was interrupted.
        """
        status = str(self.read(names.RECORD)["status"])
        if status != "running":
            return status
        with (self.path / names.LOCK).open("w") as lock:
            return "interrupted" if places.try_lock(lock) else "running"

    def requests(self, *columns: str) -> pd.DataFrame:
        """Every completed request of every point, with warm-up and cool-down.

        All columns, or only `columns` and `measured` (neither warm-up nor cool-down).

        Raises ErError for a damaged file.
        """
        found = sorted((self.path / names.REQUESTS).glob("*.parquet"))
        files = [file for file in found if re.fullmatch(POINT_FILE, file.stem)]
        parts = [self._table(f"{names.REQUESTS}/{file.name}", columns) for file in files]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)

    def requests_of(self, concurrency: int, columns: Sequence[str]) -> pd.DataFrame | None:
        """`columns` and `measured` of the requests of one point; None without a file of them.

        Raises ErError for a damaged file.
        """
        name = f"{names.REQUESTS}/{_name_of(concurrency)}.parquet"
        return self._table(name, columns) if self.has(name) else None

    def has_requests(self, concurrency: int) -> bool:
        """Whether the file of one point's requests is there. Raises ErError when it is damaged."""
        return self.requests_of(concurrency, ("concurrency",)) is not None

    def _table(self, name: str, columns: Sequence[str]) -> pd.DataFrame:
        try:
            return request_table.read(self.path / name, columns)
        except (pa.ArrowException, OSError, KeyError) as error:
            raise self.damaged(name, " ".join(str(error).split())) from error

    def keep_requests(self, concurrency: int, requests: Iterable[Request]) -> None:
        """Write one point's requests, all at once."""
        self.keep_table(
            concurrency, pa.Table.from_pandas(request_table.frame(requests), preserve_index=False)
        )

    def keep_table(self, concurrency: int, requests: pa.Table) -> None:
        """Write one point's requests, a row for each with the columns of `request_table`."""
        path = self.path / names.REQUESTS / f"{_name_of(concurrency)}.parquet"
        with places.explain_run_write_errors(self.path):
            request_table.write(requests, path)

    def keep_gpu_samples(self, concurrency: int, samples: Iterable[dict[str, Any]]) -> None:
        """Write the samples of the GPUs at one point: a row for each GPU and time."""
        path = self.path / names.GPUS / f"{_name_of(concurrency)}.csv"
        with places.explain_run_write_errors(self.path):
            path.parent.mkdir(exist_ok=True)
            pd.DataFrame(samples).to_csv(path, index=False)

    @contextmanager
    def request_log(self, concurrency: int) -> Iterator[RequestLog]:
        """A log of one point's requests: JSON lines while they complete, a Parquet file at the end.

        Logged requests are kept however the block ends, even when the process is killed. Raises
        ErError when the directory cannot be written.
        """
        lines = self.path / names.REQUESTS / f"{_name_of(concurrency)}.jsonl"
        requests: list[Request] = []
        with places.explain_run_write_errors(self.path):
            file = lines.open("w", buffering=1)
        try:
            yield RequestLog(file, requests, self.path)
        finally:
            with places.explain_run_write_errors(self.path):
                file.close()
                if requests:
                    self.keep_requests(concurrency, requests)
                lines.unlink()


@dataclass(frozen=True)
class ReadOnce(RunDir):
    """A run that no command writes to at present: each file is read only once."""

    _points: list[Point] = field(default_factory=list, repr=False, compare=False)
    _values: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def read(self, name: str) -> Any:
        """As `RunDir.read`, from memory after the first time."""
        if name not in self._values:
            self._values[name] = super().read(name)
        return self._values[name]

    def points(self) -> list[Point]:
        """As `RunDir.points`, from memory after the first time."""
        if not self._points:
            self._points.extend(super().points())
        return list(self._points)


def id_of(record: dict[str, Any]) -> str:
    """A run's own id, 32 hexadecimal digits: the same wherever its directory is copied to."""
    parts = [record["key"], record["started"], *filter(None, [record.get("study")])]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:32]


def _name_of(concurrency: int) -> str:
    """The name, without suffix, of the files that belong to one point."""
    return f"c{concurrency:04d}"


def _next_number(folder: Path) -> str:
    return f"{len(list(folder.iterdir())) + 1 if folder.exists() else 1:03d}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
