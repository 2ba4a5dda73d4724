"""What several studies share is measured once: a run of the same key is taken over from another."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from er.config import Config
from er.results import names
from er.results.run_dir import RunDir
from er.study import known

# What is another's own: its record, its configuration (which names study and figures), its past.
OWN = {names.RECORD, names.CONFIG, names.LOCK, names.SET_ASIDE}


def take_over(config: Config, run: RunDir, key: str, tags: dict[str, str]) -> Path | None:
    """Fill a run that has no points with what a finished run of another study measured under the
    same key; where that is, or None where there is none."""
    if run.has(names.POINTS):
        return None
    for other in _of_key(Path(config.runs_dir), key):
        if other.path != run.path and known.complete(config, other):
            parts = [part for part in other.path.iterdir() if part.name not in OWN]
            for part in sorted(parts, key=lambda part: part.name == names.POINTS):  # these last
                target = run.path / part.name
                if part.is_dir():
                    shutil.copytree(part, target, dirs_exist_ok=True)
                else:
                    shutil.copy2(part, target)
            run.adopt(config, other, tags)
            return other.path
    return None


def _of_key(runs_dir: Path, key: str) -> Iterator[RunDir]:
    """The runs of every study that have this key."""
    for path in sorted(runs_dir.glob(f"*/*/{names.RECORD}")):
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(found, dict) and found.get("key") == key:
            yield RunDir(path.parent)
