"""Runs pinned in a file: a figure, a verdict or a report of exactly these, while they are the same.

study: NAME
runs:
- {deployment: a, run: its id, digest: SHA-256 of all that a figure of it is made from}

The id is the run's own, so the file holds in every store that has the runs, as after an import.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from er.errors import ConfigError, ErError
from er.results.files import write_whole
from er.tracking import query
from er.tracking.query import PublishedRun

SUFFIX = ".yaml"
HEAD = "# Written by er.bundle pin: figures, er.claims and er.report take it as runs=FILE.\n"


def write(file: Path, study: str, runs: Sequence[PublishedRun]) -> None:
    """Pin these runs. Raises ErError when the file cannot be written, ConfigError for its name."""
    if file.suffix != SUFFIX:
        raise ConfigError(f"{file} would not be read as runs=FILE: call it {file.stem}{SUFFIX}")
    entries = [{"deployment": r.deployment, "run": r.id, "digest": r.digest} for r in runs]
    text = yaml.safe_dump({"study": study, "runs": entries}, sort_keys=False, width=200)
    write_whole(file, (HEAD + text).encode())


def chosen(uri: str, runs: str) -> list[str]:
    """The ids that `runs` names: a list with commas, or a file of runs pinned in the store `uri`.

    Raises ConfigError for a file that pins nothing and for what is no id, ErError where a run is
    gone or has changed.
    """
    if not runs.endswith(SUFFIX):
        return [run_id(run) for run in runs.split(",") if run]
    pinned = _read(runs)
    for run in query.pinned(uri, list(pinned)):
        if run.digest != pinned[run.id]:
            raise ErError(f"run {run.id} is not what {runs} pinned: its points differ")
    return list(pinned)


def _read(file: str) -> dict[str, str]:
    """By the whole id of a run: its digest. Raises ConfigError for a file that pins nothing."""
    try:
        entries = yaml.safe_load(Path(file).read_text())["runs"]
        pinned = {str(entry["run"]): str(entry["digest"]) for entry in entries}
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"runs={file} pins no runs: {reason}") from error
    wrong = [run for run in pinned if not re.fullmatch("[0-9a-f]{32}", run)]
    if wrong or not pinned:
        reason = f"{wrong[0]} is no whole id of one" if wrong else "its list is empty"
        raise ConfigError(f"runs={file} pins no runs: {reason}")
    return pinned


def run_id(text: str) -> str:
    """The id of a run, or its beginning, as it was given. Raises ConfigError when it cannot be one:
    a store looks for it by pattern."""
    if not re.fullmatch("[0-9a-f]{1,32}", text):
        raise ConfigError(
            f"{text} is no run: give the first hexadecimal digits of its id, as figures have them"
        )
    return text
