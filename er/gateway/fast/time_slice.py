"""A short time slice for the thread of the event loop.

Since Linux 6.12 a thread that wakes up takes the core at once from one with a longer slice, which
would otherwise keep it for up to a tick, 4 ms. It gets no larger share of the core.
"""

import ctypes
import platform

SLICE_NS = 100_000  # the shortest that Linux takes
SET, GET = {"x86_64": (314, 315), "aarch64": (274, 275)}.get(platform.machine(), (-1, -1))
LIBC = ctypes.CDLL(None)
RESET_ON_FORK = 1  # other threads and programs keep the usual slice


class _Attributes(ctypes.Structure):
    """Linux's `struct sched_attr`."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime_ns", ctypes.c_uint64),
        ("deadline_ns", ctypes.c_uint64),
        ("period_ns", ctypes.c_uint64),
    )


def shorten() -> None:
    """Of the thread that calls.

    Nothing happens where Linux is older, does not allow it, or the thread is a real-time one.
    """
    if (found := _read(0)) and found.policy == 0:
        found.runtime_ns, found.flags = SLICE_NS, found.flags | RESET_ON_FORK
        LIBC.syscall(SET, 0, ctypes.byref(found), 0)


def read_ns(thread: int) -> int:
    """Of a thread with this id, or of a process's first; 0 where Linux does not say."""
    found = _read(thread)
    return int(found.runtime_ns) if found else 0


def _read(thread: int) -> _Attributes | None:
    found = _Attributes()
    size = ctypes.sizeof(found)
    fails = GET < 0 or LIBC.syscall(GET, thread, ctypes.byref(found), size, 0)
    return None if fails else found
