"""The command line that all figures share: `python -m paper_figures.fig4 [KEY=VALUE ...]`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from er import cli
from er.config.checks import require_folder
from er.errors import ConfigError
from er.results import terminal
from paper_figures import view

KEYS = ("study", "runs", "width", "out", "uri")
WIDTHS = ("page", "column")
HELP = """usage: python -m paper_figures.{name} [KEY=VALUE ...]

  study=NAME     whose runs to draw (default: {study}): those of the newest command, and the newest
                 of every other deployment that differs from them in nothing else
  runs=ID,...    draw exactly these MLflow runs; the first digits of an id are enough
  runs=FILE.yaml draw the runs that a file pins (python -m er.bundle pin)
  width=column   8.5 cm wide, for one column of a page (default: page, 17.8 cm)
  out=DIR        folder for the files (default: runs/figures)
  uri=URI        the MLflow store (default: sqlite:///runs/mlflow.db)"""


def main(name: str) -> int:
    """Draw the figure `name` as the command line asks; the exit code."""
    return cli.run(f"paper_figures.{name}", lambda: answer(name, sys.argv[1:]), "nothing is drawn")


def answer(name: str, arguments: Sequence[str]) -> int:
    """Draw, or print the help. Raises ErError where there is nothing to draw."""
    study = view.study_of(name)
    if {"-h", "--help"} & set(arguments):
        terminal.say_help(HELP.format(name=name, study=study), cli.EXIT_CODES)
        return 0
    chosen = parse_arguments(arguments)
    require_folder(chosen.get("out", "runs/figures"), "out")
    from er.tracking import pins  # mlflow takes a second

    uri = chosen.get("uri", "sqlite:///runs/mlflow.db")
    picture = view.draw(
        name,
        uri,
        chosen.get("study", study),
        Path(chosen.get("out", "runs/figures")),
        pins.chosen(uri, chosen.get("runs", "")),
        chosen.get("width", "page"),
    )
    for path in picture.files:
        terminal.say(f"figure: {path}")
    for line in picture.summary:
        terminal.say(line)
    return 0


def parse_arguments(arguments: Sequence[str]) -> dict[str, str]:
    """The values by key. Raises ConfigError for anything else."""
    chosen = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if key not in KEYS or not equals or not value:
            raise ConfigError(f"cannot read {argument}: give {', '.join(f'{k}=...' for k in KEYS)}")
        chosen[key] = value
    if chosen.get("width", "page") not in WIDTHS:
        raise ConfigError(f"width is {chosen['width']}: choose from {', '.join(WIDTHS)}")
    if "runs" in chosen and "study" in chosen:
        raise ConfigError("runs=... are drawn whatever their study: leave out study=...")
    return chosen
