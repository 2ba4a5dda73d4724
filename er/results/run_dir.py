"""A run on disk: written first, added to point by point, read by everything that comes after.

runs/<study>/<deployment>-<key>/
  run.json         status, when its first measurement began and its last point was added, key, tags
  config.json      the configuration of the newest command that measured
  provenance.json  code, packages, host and command line of that command
  sessions/        both, of each command that measured, and the logs of the one before it
  requests/        c0008.parquet: every request of 8 users; c0008.jsonl while they are measured
  gpus/            c0008.csv: what each GPU said, each second of that point; where there are any
  nodes/           what serves on each further node of a job on several
  points.json      one entry for each measured point
  knee.json        the most users within the limits, where load.find_knee asked for them
  logs/            of the processes that were started
  set_aside/       points and requests that were measured again: invalid or interrupted ones
"""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
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
from er.results.json_file import null_to_nan, text_of
from er.results.point import Point, Summary
from er.results.request import Request
from er.results.request_table import RequestLog


@dataclass(frozen=True)
class RunDir:
    """Files of one run."""

    path: Path

    def write(self, name: str, value: object) -> None:
        """Write `value` as JSON, whole or not at all; NaN, which JSON does not have, as null."""
        write_whole(self.path / name, text_of(value).encode())

    def read(self, name: str) -> Any:
        """Read a JSON file of this run. Raises ErError when it is missing, damaged, or holds what
        no run has; a value that is missing in it raises ErError when it is looked up."""
        try:
            text = (self.path / name).read_text()
        except FileNotFoundError as error:
            raise self.unusable(name, "missing") from error
        except (OSError, UnicodeDecodeError) as error:
            raise self.damaged(name, getattr(error, "strerror", "it is no text")) from error
        return shapes.parse(name, text, partial(self.damaged, name))

    def damaged(self, name: str, what: str) -> ErError:
        """What to raise for a file that holds what no run of er has."""
        return self.unusable(name, f"damaged ({what})")

    def unusable(self, name: str, how: str) -> ErError:
        """What to raise for a file that is missing or damaged."""
        return ErError(
            f"{self.path / name} is {how}: put the file back, or move {self.path} away and "
            "measure again"
        )

    def read_numbers(self, name: str) -> Any:
        """Read a JSON file of measured numbers: those without a value are NaN."""
        return null_to_nan(self.read(name))

    def check(self) -> None:
        """Raise ErError unless each of its files can be read, and its record says what it is."""
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
        """Add one measured point, whose requests have been kept."""
        points = sorted([*self.points(), point], key=lambda point: point.concurrency)
        self.write(names.POINTS, list(map(asdict, points)))
        self.write(names.RECORD, {**self.read(names.RECORD), "ended": _now()})

    def set_aside(self, concurrency: int) -> None:
        """Put away what there is of a point that is to be measured again."""
        files = sorted(self.path.glob(f"{names.REQUESTS}/{_name_of(concurrency)}.*"))
        files += self.path.glob(f"{names.GPUS}/{_name_of(concurrency)}.*")
        points = self.points()
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

    def begin(self, config: object, provenance: dict[str, Any], tags: dict[str, str]) -> None:
        """Note that a command measures from now on, and with what."""
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
        """Note that all of it was measured as `other`, a run of another study."""
        own = {"study": self.path.parent.name, "tags": tags}
        place = f"{other.path.parent.name}/{other.path.name}"
        self.write(names.CONFIG, plain(config))
        self.write(names.RECORD, {**other.read(names.RECORD), **own, "taken_from": place})

    def relabel(self, tags: dict[str, str]) -> None:
        """Note which command asked for it last, and what that calls it; nothing was measured."""
        self.write(names.RECORD, {**self.read(names.RECORD), "tags": tags})

    def end(self, status: str) -> None:
        """Note how the command ended: finished, failed or interrupted."""
        self.write(names.RECORD, {"ended": _now(), **self.read(names.RECORD), "status": status})

    def end_early(self, error: BaseException) -> None:
        """Note that `error` ended the command, as far as the directory still takes notes.

        Where it does not, its status is that of a run whose process is gone.
        """
        with suppress(ErError):
            self.end("failed" if isinstance(error, Exception) else "interrupted")

    def status(self) -> str:
        """How the run stands; one whose process is gone without a word was interrupted."""
        status = str(self.read(names.RECORD)["status"])
        if status != "running":
            return status
        with (self.path / names.LOCK).open("w") as lock:
            return "interrupted" if places.locks(lock) else "running"

    def requests(self, *columns: str) -> pd.DataFrame:
        """Every completed request of every point, warm-up included: all columns, or these and
        `measured`, whether it is neither warm-up nor cool-down. Raises ErError for a damaged file.
        """
        files = sorted((self.path / names.REQUESTS).glob("*.parquet"))
        parts = [self._table(f"{names.REQUESTS}/{file.name}", columns) for file in files]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)

    def requests_of(self, concurrency: int, columns: Sequence[str]) -> pd.DataFrame | None:
        """These columns of the requests of one point, and `measured`; None where they are not
        kept. Raises ErError for a damaged file."""
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
        with places.naming_run(self.path):
            request_table.write(requests, path)

    def keep_gpu_samples(self, concurrency: int, samples: Iterable[dict[str, Any]]) -> None:
        """Write what GPUs said while one point was measured: a row for each GPU and time."""
        path = self.path / names.GPUS / f"{_name_of(concurrency)}.csv"
        with places.naming_run(self.path):
            path.parent.mkdir(exist_ok=True)
            pd.DataFrame(samples).to_csv(path, index=False)

    @contextmanager
    def request_log(self, concurrency: int) -> Iterator[RequestLog]:
        """A log of one point's requests: lines while they come, a Parquet file at the end.

        What was logged is kept whatever ends the block, a killed process too.
        Raises ErError when the directory cannot be written.
        """
        lines = self.path / names.REQUESTS / f"{_name_of(concurrency)}.jsonl"
        requests: list[Request] = []
        with places.naming_run(self.path):
            file = lines.open("w", buffering=1)
        try:
            yield RequestLog(file, requests, self.path)
        finally:
            with places.naming_run(self.path):
                file.close()
                if requests:
                    self.keep_requests(concurrency, requests)
                lines.unlink()


@dataclass(frozen=True)
class ReadOnce(RunDir):
    """A run that nobody writes to meanwhile: each file is read once."""

    _points: list[Point] = field(default_factory=list, repr=False, compare=False)
    _values: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def read(self, name: str) -> Any:
        """As of any run; the same value each time."""
        if name not in self._values:
            self._values[name] = super().read(name)
        return self._values[name]

    def points(self) -> list[Point]:
        """As of any run; the same points each time."""
        if not self._points:
            self._points.extend(super().points())
        return list(self._points)


@contextmanager
def opened(folder: Path, name: str, key: str, resume: bool = True) -> Iterator[RunDir]:
    """The newest run `name` in `folder`, which no other command adds to meanwhile.

    A new one where there is none of this key, or when it is not to be resumed.
    Raises ErError when it cannot be written or another command is at work on it.
    """
    with places.naming(folder):
        found = newest(folder, name, key) if resume else None
        path = found.path if found else places.fresh(folder, name)
    with places.naming_run(path):
        lock = (path / names.LOCK).open("w")
    with lock:
        if not places.locks(lock):
            raise ErError(
                f"another command is measuring {path}: wait for it, or measure beside it with "
                "resume=false"
            )
        with places.naming_run(path):
            run = _prepared(path, key)
        yield run


def _prepared(path: Path, key: str) -> RunDir:
    """The run there, without what a killed command left half written."""
    run = RunDir(path)
    for part in path.rglob("*.part"):
        part.unlink()
    if not run.has(names.RECORD):
        for sub in (names.REQUESTS, names.LOGS):
            (path / sub).mkdir(exist_ok=True)
        run.write(names.RECORD, {"status": "running", "started": _now(), "key": key})
    return run


def id_of(record: dict[str, Any]) -> str:
    """A run's own id, 32 hexadecimal digits: the same wherever its directory is copied to."""
    parts = [record["key"], record["started"], *filter(None, [record.get("study")])]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:32]


def newest(folder: Path, name: str, key: str) -> RunDir | None:
    """The newest run `name` in `folder`, unless it is of another key."""
    path = places.place(folder, name, places.count(folder, name))
    if not path.exists():
        return None
    run = RunDir(path)
    begun = run.has(names.RECORD)  # else its command was killed at once
    return run if not begun or run.read(names.RECORD)["key"] == key else None


def require_writable(runs_dir: str) -> None:
    """Raise ErError unless runs can be written to `runs_dir`."""
    folder = Path(runs_dir)
    with places.naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def _name_of(concurrency: int) -> str:
    """The name of the files of one point's requests."""
    return f"c{concurrency:04d}"


def _next_number(folder: Path) -> str:
    return f"{len(list(folder.iterdir())) + 1 if folder.exists() else 1:03d}"


def point_of(entry: dict[str, Any]) -> Point:
    """A point from its JSON entry."""
    entry = null_to_nan(entry)
    names = [field.name for field in fields(Point) if field.type is Summary and field.name in entry]
    summaries = {name: Summary(**entry[name]) for name in names}
    return Point(**{**entry, **summaries})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
