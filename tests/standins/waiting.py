"""Wait for what happens elsewhere."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

LIMIT_S = 60  # for what always comes, however slow the machine is


def eventually(condition: Callable[[], bool], limit_s: float = LIMIT_S) -> bool:
    """Whether the condition becomes true within the limit."""
    deadline_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True


async def until(holds: Callable[[], bool | Awaitable[bool]]) -> None:
    """Return once it holds."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            found = holds()
            if await found if inspect.isawaitable(found) else found:
                return
            await asyncio.sleep(0.01)
