"""How every command ends: with an exit code and, unless it succeeds, one line that says why.

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
ENDING = (signal.SIGTERM, signal.SIGHUP)  # HUP: the terminal is closed
FULL = (errno.ENOSPC, errno.EDQUOT)
# After which a lost signal is sent again. Sooner, it may arrive while the timer's thread is being
# started, and be lost again.
RESEND_AFTER_S = 0.5


class Terminated(BaseException):
    """TERM or HUP arrived: unwind, so that everything started is stopped."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


class Help(argparse.ArgumentDefaultsHelpFormatter):
    """Help that shows the default of each option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        has_default = action.default is not None and action.default != []
        return super()._get_help_string(action) if has_default else action.help


class Parser(argparse.ArgumentParser):
    """A parser whose errors are ConfigErrors of one line, without the usage."""

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
    """Split arguments into those without `=` and the values of NAME=VALUE.

    `words` are the known names with their defaults. Raises ConfigError for any other name.
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
    """Run a command, and return its exit code, or the exit code of what ended it.

    An error becomes a line that begins with `name`; after an interruption the line ends with
    `kept`, which says what is left, or with the notes that the work has added to it.
    """
    before, hook = {number: signal.getsignal(number) for number in ENDING}, sys.unraisablehook
    sys.unraisablehook = _raise_later
    for number in ENDING:
        if before[number] is not signal.SIG_IGN:  # under nohup
            signal.signal(number, _raise_terminated)
    try:
        with interruptions_kept():
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
    except KeyboardInterrupt as ended:
        sys.unraisablehook = _ignore
        return fail(name, f"interrupted: {_notes_of(ended) or kept}", 130)
    except Terminated as ended:
        sys.unraisablehook = _ignore
        return fail(name, f"terminated: {_notes_of(ended) or kept}", ended.code)
    finally:
        for number in ENDING:
            signal.signal(number, before[number])
        sys.unraisablehook = hook


@contextmanager
def interruptions_kept() -> Iterator[None]:
    """Raise the interruption that compiled code made a SystemError of: what a signal raises while
    numba looks a function up comes out as "returned a result with an exception set"."""
    try:
        yield
    except SystemError as error:
        cause: BaseException | None = error
        while isinstance(cause, SystemError):
            cause = cause.__cause__
        if isinstance(cause, (KeyboardInterrupt, Terminated)):
            raise cause from None
        raise


def exit_code(error: Exception) -> int:
    """The exit code of a command that this error has ended."""
    if isinstance(error, OutOfTimeError):
        return OUT_OF_TIME
    return 2 if isinstance(error, ConfigError) else 1


def describe_error(error: Exception) -> str:
    """One line for an error that a user can fix; the traceback for any other."""
    if isinstance(error, ErError):  # a value in it may have line ends
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(error))
    if isinstance(error, OSError) and error.errno in FULL:
        return "the disk is full: make room and run again; what was written until then is kept"
    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot use {error.filename}: {error.strerror}"
    return f"an error in er itself\n{''.join(traceback.format_exception(error))}"


@contextmanager
def loading() -> Iterator[None]:
    """Import modules in this block without garbage collection: they stay until the process ends."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def fail(name: str, message: object, code: int) -> int:
    """Print what went wrong, and return the exit code `code`."""
    print(f"{name}: {message}", file=sys.stderr)
    return code


def _run(work: Callable[[], int | None]) -> int:
    """The exit code of `work`, once its output has been written."""
    try:
        code = work() or 0
    except SystemExit as ended:  # as argparse and Hydra end --help and --version
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    sys.stdout.flush()
    return code


def _notes_of(ended: BaseException) -> str:
    return "; ".join(getattr(ended, "__notes__", []))


def _nobody_reads() -> bool:
    """Whether the reader of standard output is gone (`| head`); if so, discard what is printed."""
    output = select.poll()
    output.register(sys.stdout, 0)  # POLLERR is always reported
    if not any(event & select.POLLERR for _, event in output.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _raise_terminated(number: int, _frame: FrameType | None) -> None:
    # A batch system signals every process, and its script passes the signal on: the first unwinds.
    for other in ENDING:
        signal.signal(other, signal.SIG_IGN)
    raise Terminated(number)


def _ignore(_unraisable: "sys.UnraisableHookArgs") -> None:
    """After an interruption: what clean-up of a library, stopped anywhere, complains of."""


def _raise_later(unraisable: "sys.UnraisableHookArgs") -> None:
    """Send a signal again when C code (LLVM's callbacks) has swallowed its exception."""
    error = unraisable.exc_value
    if isinstance(error, Terminated):
        number = error.code - 128
        signal.signal(number, _raise_terminated)
    elif isinstance(error, KeyboardInterrupt):
        number = signal.SIGINT
    else:
        sys.__unraisablehook__(unraisable)
        return
    threading.Timer(RESEND_AFTER_S, os.kill, (os.getpid(), number)).start()
