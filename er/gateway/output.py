"""Lines that a gateway prints while it serves; a full disk or a closed pipe stops nothing."""

import os
import select
import sys
from typing import TextIO


def say(line: str, file: TextIO | None = None) -> None:
    """Print a line, to standard output unless another file is given, if it can be written.

    Not by `print`, which would keep what cannot be written, and fail with it at the end.
    """
    try:
        descriptor = (file or sys.stdout).fileno()
        if select.select((), (descriptor,), (), 0)[1]:  # a pipe that nobody reads may be full
            os.write(descriptor, f"{line}\n".encode()[: select.PIPE_BUF])
    except (OSError, ValueError, AttributeError):
        return


def open_standard_files() -> None:
    """Where standard input, output or error is closed, open the null device in its place.

    Else the next file or connection would get its number, and what is printed with it.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
