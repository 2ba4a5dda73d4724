"""The command line that all figures share."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from er.errors import ErError


def main(name: str, draw: Callable[..., list[Path]], experiment: str = "") -> int:
    """Draw `name` from the store on the command line; returns the exit code.

    A figure that is drawn of any experiment names the one that it takes by itself.
    """
    parser = argparse.ArgumentParser(prog=f"python -m paper_figures.{name}")
    parser.add_argument("--uri", default="sqlite:///runs/mlflow.db", help="the MLflow store")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/figures"), help="folder for the files"
    )
    if experiment:
        parser.add_argument("--experiment", default=experiment, help="whose newest runs to draw")
    options = vars(parser.parse_args())
    try:
        for path in draw(options.pop("uri"), options.pop("out"), **options):
            print(f"figure: {path}")
    except ErError as error:
        print(f"er: {error}", file=sys.stderr)
        return 1
    return 0
