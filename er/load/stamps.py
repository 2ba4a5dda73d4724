"""The kernel's receive stamps: when bytes reached this host.

A process that is busy, or waits for a core, reads late; the stamp is not affected. For TCP the
kernel reports the arrival of the last segment that was read (Linux, SO_TIMESTAMPNS, socket(7)).
"""

import socket
import struct
import sys
from collections.abc import Callable, Sequence

SO_TIMESTAMPNS = 35  # asm-generic; also the type of its control message
CONTROL_BYTES = 64  # for the ancillary data of one `recvmsg`
TIMESPEC = struct.Struct("qq")

Ancillary = Sequence[tuple[int, int, bytes]]


def enable(connection: socket.socket) -> None:
    """Request stamps; elsewhere than on Linux the time of the read counts."""
    if sys.platform == "linux":
        connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def arrival_s(
    ancillary: Ancillary,
    offset_s: float,
    unpack: Callable[[bytes], tuple[int, int]] = TIMESPEC.unpack,
) -> float:
    """When the data of a `recvmsg` arrived, in s on a clock that is `offset_s` behind real time."""
    seconds, nanoseconds = unpack(ancillary[0][2])
    return seconds - offset_s + nanoseconds * 1e-9
