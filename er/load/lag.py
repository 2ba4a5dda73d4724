"""How late the event loop runs its callbacks: a client that lags measures itself."""

import asyncio
import time
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

TICK_S = 0.005


@asynccontextmanager
async def watch(lags_s: "array[float]") -> AsyncIterator[None]:
    """Append to `lags_s`, every few milliseconds, by how much a timer was late (s, 0 or more)."""
    task = asyncio.create_task(_watch(lags_s))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _watch(lags_s: "array[float]") -> None:
    while True:
        due_s = time.monotonic() + TICK_S
        await asyncio.sleep(TICK_S)
        lags_s.append(max(0.0, time.monotonic() - due_s))
