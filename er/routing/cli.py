"""What the command lines of the router share."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from er.errors import ConfigError, ErError


def parser(name: str, description: str, router: bool = True) -> argparse.ArgumentParser:
    """A parser for `python -m er.routing.NAME`, with the router's file as first argument."""
    made = argparse.ArgumentParser(f"python -m er.routing.{name}", description=description)
    if router:
        made.add_argument("router", type=Path, metavar="ROUTER", help="file of a trained router")
    return made


def run(main: Callable[[], None]) -> None:
    """Run a command. When it cannot be done: one line, exit status 1, or 2 for a wrong request."""
    try:
        main()
    except ErError as error:
        print(error, file=sys.stderr)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except OSError as error:
        print(f"cannot write {error.filename} ({error.strerror})", file=sys.stderr)
        sys.exit(1)
