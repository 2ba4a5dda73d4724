"""When bytes reached this host: the kernel's own receive stamps, where it gives them.

A process that is busy, or waits for a core, reads late; the stamp does not move with it. For TCP
the kernel reports the arrival of the last segment read (Linux, SO_TIMESTAMPNS, socket(7)).
"""

import socket
import struct
import sys
from collections.abc import Callable, Sequence

SO_TIMESTAMPNS = 35  # asm-generic; also the type of its control message
CONTROL_BYTES = 64
TIMESPEC = struct.Struct("qq")

Ancillary = Sequence[tuple[int, int, bytes]]


def enable(connection: socket.socket) -> None:
    """Ask for stamps; without them reads stamp themselves."""
    if sys.platform == "linux":
        connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def arrival_s(
    ancillary: Ancillary,
    offset_s: float,
    unpack: Callable[[bytes], tuple[int, int]] = TIMESPEC.unpack,
) -> float:
    """When the data of one `recvmsg` arrived, on the clock that is `offset_s` behind real time."""
    seconds, nanoseconds = unpack(ancillary[0][2])
    return seconds - offset_s + nanoseconds * 1e-9
