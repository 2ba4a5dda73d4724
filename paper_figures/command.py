"""The command line that all figures share."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from er.errors import ErError


def main(name: str, draw: Callable[[str, Path], list[Path]]) -> int:
    """Draw `name` from the store on the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m paper_figures.{name}")
    parser.add_argument("--uri", default="sqlite:///runs/mlflow.db", help="the MLflow store")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/figures"), help="folder for the files"
    )
    arguments = parser.parse_args()
    try:
        for path in draw(arguments.uri, arguments.out):
            print(path)
    except ErError as error:
        print(f"er: {error}", file=sys.stderr)
        return 1
    return 0
