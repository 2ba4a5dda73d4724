"""Start a program while requests go on."""

import ctypes
import os
from collections.abc import Sequence


def start(command: Sequence[str]) -> int:
    """The new process's id; it gets this one's open files and environment. Raises OSError.

    As `os.posix_spawn`, which holds the interpreter's lock, and with it every request, until the
    program has begun: a millisecond. A call through ctypes gives the lock back.
    """
    arguments = _strings([os.fsencode(each) for each in command])
    environment = _strings([b"%b=%b" % pair for pair in os.environb.items()])
    child = ctypes.c_int()
    problem = ctypes.CDLL(None).posix_spawn(
        ctypes.byref(child), arguments[0], None, None, arguments, environment
    )
    if problem:
        raise OSError(problem, os.strerror(problem))
    return child.value


def _strings(values: Sequence[bytes]) -> "ctypes.Array[ctypes.c_char_p]":
    return (ctypes.c_char_p * (len(values) + 1))(*values, None)
