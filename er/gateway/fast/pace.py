"""One read in a turn: the loop reads as long as its buffer is filled, 8 MB before others."""

import asyncio
from collections.abc import Callable

FULL_READ_BYTES = 65536  # more may be waiting


def one_read_a_turn(transport: asyncio.Transport, go_on: Callable[[], None]) -> None:
    """Read no more before the next turn, in which `go_on` is called."""
    if not transport.is_closing():
        transport.pause_reading()
        asyncio.get_running_loop().call_soon(go_on)
