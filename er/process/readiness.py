"""Wait until an endpoint is ready, while watching the process behind it."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from er.errors import ErError

POLL_INTERVAL_S = 0.05
PROBE_TIMEOUT_S = 2.0


class Watched(Protocol):
    """A started process, such as `er.process.Child`."""

    @property
    def name(self) -> str:
        """Its name in messages."""

    @property
    def log_path(self) -> Path:
        """The file of its output."""

    def last_log_lines(self) -> str:
        """The last lines of its log, in one line."""

    def require_alive(self) -> None:
        """Raise ErError when it has ended."""


def wait_until(ready: Callable[[], bool], child: Watched, timeout_s: float, what: str) -> None:
    """Return once `ready()` is true.

    Raises ErError, with the last lines of the log, as soon as the process has ended, and when it
    was not ready within `timeout_s`; `what` says what was waited for.
    """
    deadline = time.monotonic() + timeout_s
    while not ready():
        child.require_alive()
        if time.monotonic() > deadline:
            raise ErError(
                f"{child.name}: waited {timeout_s:g} s for {what} without success: "
                f"{child.last_log_lines()} (log: {child.log_path}; "
                "raise ready_timeout_s if the machine is slow)"
            )
        time.sleep(POLL_INTERVAL_S)
    # The process may have died, and another one may have answered on its port.
    child.require_alive()


def answers(url: str) -> bool:
    """Whether a GET of `url` gives status 200."""
    try:
        with urllib.request.urlopen(url, timeout=PROBE_TIMEOUT_S) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
