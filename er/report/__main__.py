"""`python -m er.report STUDY`: one HTML file with all that a study shows."""

import sys
from collections.abc import Sequence
from pathlib import Path

from er import cli
from er.config.checks import require_folder
from er.errors import ConfigError
from er.report import files
from er.results import terminal

WORDS = {"uri": "sqlite:///runs/mlflow.db", "runs": "", "out": "runs/figures"}
HELP = """usage: python -m er.report STUDY [KEY=VALUE ...]

Write one HTML file about a study: verdicts, figures with hover, Table I, sensitivity, provenance.
It needs no network.

  STUDY         whose runs it shows (default: ladder)
  runs=ID,...   exactly these MLflow runs; the first digits of an id are enough
  out=FOLDER    where it goes (default: runs/figures), and where er.claims.sensitivity has written
  uri=URI       the MLflow store (default: sqlite:///runs/mlflow.db)"""


def main() -> int:
    """Write it; the exit code."""
    return cli.run("er.report", lambda: answer(sys.argv[1:]), "nothing is written")


def answer(arguments: Sequence[str]) -> int:
    """Do what the command line asks. Raises ErError where the study has no runs."""
    if {"-h", "--help"} & set(arguments):
        terminal.say_help(HELP, cli.EXIT_CODES)
        return 0
    names, words = cli.read_words(arguments, WORDS)
    if len(names) > 1:
        raise ConfigError(f"give one study, not {' '.join(names)}")
    require_folder(words["out"], "out")
    from er.tracking import pins, query

    uri, study = words["uri"], (names or ["ladder"])[0]
    ids = pins.chosen(uri, words["runs"])
    runs = query.pinned(uri, ids) if ids else query.shown(uri, study)
    for run in runs:
        if run.study != study:
            raise ConfigError(
                f"run {run.id[:8]} is of study {run.study}: python -m er.report {run.study}"
            )
    written = files.write(study, uri, Path(words["out"]), runs)
    print(f"report: {written.file}{' (there already)' if written.kept else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
