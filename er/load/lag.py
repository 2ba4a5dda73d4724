"""Record how late an event loop runs its callbacks."""

import asyncio
import time
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

TICK_S = 0.005


@asynccontextmanager
async def watch(lags_s: "array[float]") -> AsyncIterator[None]:
    """Append to `lags_s`, every TICK_S, by how many seconds (0 or more) a timer was late."""
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
