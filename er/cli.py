"""What the command lines share: one line about what ended them, and the exit code.

0 done, 1 something failed, 2 the request cannot be run, 130 Ctrl-C, 143 TERM.
"""

import gc
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from er.errors import ConfigError, ErError


class Terminated(BaseException):
    """TERM arrived: unwind, so that everything started is stopped."""


def run(name: str, work: Callable[[], int], kept: str) -> int:
    """The exit code of `work`, or of what ended it.

    `name` begins the line that says what went wrong; `kept` tells what an interruption left.
    """
    before = signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        return work()
    except ErError as error:
        return fail(name, error, 2 if isinstance(error, ConfigError) else 1)
    except KeyboardInterrupt:
        return fail(name, f"interrupted: {kept}", 130)
    except Terminated:
        return fail(name, f"terminated: {kept}", 143)
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def loading() -> Iterator[None]:
    """What is loaded here stays to the end: no garbage is looked for in it, now or later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def fail(name: str, message: object, code: int) -> int:
    """Say in one line what went wrong."""
    print(f"{name}: {message}", file=sys.stderr)
    return code


def _raise_terminated(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated
