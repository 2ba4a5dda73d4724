"""What several studies share is measured once: a run of the same key is taken over from another."""

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from er.config import Config
from er.results import names
from er.results.run_dir import RunDir
from er.study import known

# What is another's own: its record, its configuration (which names study and figures), its past.
OWN = {names.RECORD, names.CONFIG, names.LOCK, names.SET_ASIDE}
# What is of the points of a ladder, and which of those are taken over depends on the job's.
OF_POINTS = {names.POINTS, names.PREDICTED, names.KNEE, names.REQUESTS, names.GPUS}


def take_over(config: Config, run: RunDir, key: str, tags: dict[str, str]) -> Path | None:
    """Fill a run that has no points with what a finished run of another study measured under the
    same key: the points of the job's own ladder, as if it had measured them itself.

    Returns where that is, or None where there is none.
    """
    if run.has(names.POINTS):
        return None
    other = complete_run(config, key)
    if not other or other.path == run.path:
        return None
    apart = OWN if config.capacity else OWN | OF_POINTS
    _copy([part for part in other.path.iterdir() if part.name not in apart], run.path)
    if not config.capacity:
        _take_points(config, run, other)
    run.adopt(config, other, tags)
    return other.path


def complete_run(config: Config, key: str) -> RunDir | None:
    """A run of any study with this key that has all that the job asks for."""
    found = _of_key(Path(config.runs_dir), key)
    return next((run for run in found if known.complete(config, run)), None)


def _take_points(config: Config, run: RunDir, other: RunDir) -> None:
    """Take the points that the job walks over; points.json last, for it says what is there."""
    walked, found = known.walk(config, other)
    for concurrency in walked:
        for file in other.files_of_point(concurrency):
            (run.path / file.parent.name).mkdir(exist_ok=True)
            _copy([file], run.path / file.parent.name)
    if found:
        run.write(names.KNEE, asdict(found))
    for name in (names.PREDICTED, names.POINTS):
        if other.has(name):
            entries = other.read(name)
            run.write(name, [entry for entry in entries if entry["concurrency"] in walked])


def _copy(parts: Iterable[Path], folder: Path) -> None:
    """Copy files and folders; points.json last, for it says what is there."""
    for part in sorted(parts, key=lambda part: part.name == names.POINTS):
        if part.is_dir():
            shutil.copytree(part, folder / part.name, dirs_exist_ok=True)
        else:
            shutil.copy2(part, folder / part.name)


def runs_of(runs_dir: Path) -> Iterator[RunDir]:
    """The runs of every study that have a record which can be read."""
    for run, _ in _records(runs_dir):
        yield run


def _of_key(runs_dir: Path, key: str) -> Iterator[RunDir]:
    """The runs of every study that have this key."""
    for run, record in _records(runs_dir):
        if record.get("key") == key:
            yield run


def _records(runs_dir: Path) -> Iterator[tuple[RunDir, dict[str, Any]]]:
    for path in sorted(runs_dir.glob(f"*/*/{names.RECORD}")):
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(found, dict):
            yield RunDir(path.parent), found
