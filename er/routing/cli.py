"""What the command lines of the router share."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from er.errors import ErError


def parser(name: str, description: str, router: bool = True) -> argparse.ArgumentParser:
    """A parser for `python -m er.routing.NAME`, with the router's file as first argument."""
    made = argparse.ArgumentParser(f"python -m er.routing.{name}", description=description)
    if router:
        made.add_argument("router", type=Path, metavar="ROUTER", help="file of a trained router")
    return made


def run(main: Callable[[], None]) -> None:
    """Run a command; exit status 1 and one line on standard error when it cannot be done."""
    try:
        main()
    except ErError as error:
        sys.exit(str(error))
