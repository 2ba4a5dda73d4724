"""Lines that a gateway prints while it serves; a full disk or a closed pipe stops nothing."""

import sys
from typing import TextIO


def say(line: str, file: TextIO | None = None) -> None:
    """Print a line, to standard output unless another file is given, if it can be written."""
    try:
        print(line, file=file or sys.stdout, flush=True)
    except (OSError, ValueError):
        return
