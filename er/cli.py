"""How every command ends: one line about what ended it, and an exit code.

0 done, 1 failed, 2 cannot be run, 75 no time left, 129 HUP, 130 Ctrl-C, 141 no reader, 143 TERM.
"""

import argparse
import errno
import gc
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from er.errors import ConfigError, ErError, OutOfTimeError

EXIT_CODES = __doc__.splitlines()[-1]
OUT_OF_TIME, TERMINATED = 75, 143
AGAIN_S = (
    0.5  # by then the thread that sends it has been started, or the signal would be lost again
)
ENDING = (signal.SIGTERM, signal.SIGHUP)  # HUP: the terminal is closed


class Terminated(BaseException):
    """TERM or HUP arrived: unwind, so that everything started is stopped."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


class Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the default of an option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        has_default = action.default is not None and action.default != []
        return super()._get_help_string(action) if has_default else action.help


class Parser(argparse.ArgumentParser):
    """Reads options; a mistake is one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError."""
        raise ConfigError(f"{message}; see --help")


def parser(name: str, description: str | None) -> Parser:
    """A parser for a command without overrides; its help shows the defaults of its options."""
    return Parser(
        f"python -m {name}",
        description=description,
        epilog=f"Exit codes: {EXIT_CODES}",
        formatter_class=Help,
        allow_abbrev=False,
    )


def read_words(
    arguments: Sequence[str], words: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Arguments without `=`, and the value of each of `words`, NAME=VALUE, or its default.

    Raises ConfigError for any other name.
    """
    values, others = dict(words), []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument.startswith("-") or (equals and name not in words):
            raise ConfigError(
                f"{argument} is not known: give {', '.join(f'{word}=...' for word in words)}"
            )
        if equals:
            values[name] = value
        else:
            others.append(argument)
    return others, values


def run(name: str, work: Callable[[], int | None], kept: str = "nothing is left undone") -> int:
    """The exit code of `work`, or of what ended it.

    `name` begins the line that says what went wrong; `kept` tells what an interruption left.
    """
    before, hook = {number: signal.getsignal(number) for number in ENDING}, sys.unraisablehook
    sys.unraisablehook = _raise_later
    for number in ENDING:
        if before[number] is not signal.SIG_IGN:  # under nohup
            signal.signal(number, _raise_terminated)
    try:
        return _run(work)
    except ErError as error:
        return fail(name, describe_error(error), exit_code(error))
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        return 141
    except OSError as error:
        if error.filename is None and error.errno not in FULL:
            raise
        return fail(name, describe_error(error), 1)
    except KeyboardInterrupt:
        return fail(name, f"interrupted: {kept}", 130)
    except Terminated as ended:
        return fail(name, f"terminated: {kept}", ended.code)
    finally:
        for number in ENDING:
            signal.signal(number, before[number])
        sys.unraisablehook = hook


def exit_code(error: Exception) -> int:
    """The exit code of a command that this error ended."""
    if isinstance(error, OutOfTimeError):
        return OUT_OF_TIME
    return 2 if isinstance(error, ConfigError) else 1


FULL = (errno.ENOSPC, errno.EDQUOT)


def describe_error(error: Exception) -> str:
    """One line for what a user can fix; a traceback for anything else."""
    if isinstance(error, ErError):  # a value in it may have line ends
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(error))
    if isinstance(error, OSError) and error.errno in FULL:
        return "the disk is full: make room and run again; what was written until then is kept"
    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot use {error.filename}: {error.strerror}"
    return f"a fault of er itself\n{''.join(traceback.format_exception(error))}"


@contextmanager
def loading() -> Iterator[None]:
    """Import without collecting garbage: modules stay until the end."""
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


def _run(work: Callable[[], int | None]) -> int:
    """The exit code of `work`, once all it printed has been taken."""
    try:
        code = work() or 0
    except SystemExit as ended:  # argparse and Hydra end --help and --version so
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    sys.stdout.flush()
    return code


def _nobody_reads() -> bool:
    """Whether standard output is closed at its other end (`| head`); nothing more is written."""
    output = select.poll()
    output.register(sys.stdout, 0)  # POLLERR is always reported
    if not any(event & select.POLLERR for _, event in output.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _raise_terminated(number: int, _frame: FrameType | None) -> None:
    # Batch systems send it to every process, and a script passes it on: one is enough to unwind.
    for other in ENDING:
        signal.signal(other, signal.SIG_IGN)
    raise Terminated(number)


def _raise_later(unraisable: "sys.UnraisableHookArgs") -> None:
    """Send a signal again whose exception C code swallowed, as LLVM's callbacks do."""
    error = unraisable.exc_value
    if isinstance(error, Terminated):
        number = error.code - 128
        signal.signal(number, _raise_terminated)
    elif isinstance(error, KeyboardInterrupt):
        number = signal.SIGINT
    else:
        sys.__unraisablehook__(unraisable)
        return
    threading.Timer(AGAIN_S, os.kill, (os.getpid(), number)).start()
