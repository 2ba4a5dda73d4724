"""Wait for what happens in another process."""

import time
from collections.abc import Callable


def eventually(condition: Callable[[], bool], limit_s: float = 60) -> bool:
    """Whether the condition becomes true within the limit."""
    deadline_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True
