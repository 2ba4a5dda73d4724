"""A line of JSON for each request: who, where to, how long, how it ended. No prompts, no keys."""

import asyncio
import json
import os
import select
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from er.gateway.counts import Counts
from er.gateway.fast.request import Request
from er.routing.choice import NO_MARGIN

if TYPE_CHECKING:
    from er.gateway.fast.client import Client
    from er.gateway.fast.exchange import Exchange

LINES_AT_MOST = 65536  # that wait to be written
UNKNOWN = ("user", "status", "cause", "expert", "replica", "chosen", "margin")
NOTHING: dict[str, object] = (
    dict.fromkeys(UNKNOWN) | {"attempts": 0} | dict.fromkeys(("body_bytes", "took_s"))
)


class AccessLog:
    """Lines on their way to standard output, written by a thread: a pipe that nobody reads, or a
    full disk, holds no request up. What cannot be written is counted."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._lines: list[str] = []
        self._thread = threading.Thread()

    def add(self, line: str) -> None:
        """One request has ended."""
        if len(self._lines) < LINES_AT_MOST:
            self._lines.append(line)
        else:
            self._counts.event("log_lines_lost")

    def write(self) -> None:
        """Write what has come together, unless the last is still being written."""
        if self._lines and not self._thread.is_alive():
            lines, self._lines = self._lines, []
            # A daemon: a write that never ends does not keep the process.
            self._thread = threading.Thread(target=self._print, args=(lines,), daemon=True)
            self._thread.start()

    async def close(self, within_s: float) -> None:
        """Write the rest, as far as that does not take too long."""
        end_s = time.monotonic() + within_s
        while (self._lines or self._thread.is_alive()) and time.monotonic() < end_s:
            self.write()
            await asyncio.sleep(0.01)

    def _print(self, lines: list[str]) -> None:
        waiting = deque(f"{each}\n".encode() for each in lines)
        while waiting:
            together = waiting.popleft()  # as much as a pipe takes without another's in between
            while waiting and len(together) + len(waiting[0]) <= select.PIPE_BUF:
                together += waiting.popleft()
            try:
                os.write(sys.stdout.fileno(), together)
            except (OSError, ValueError, AttributeError):  # it is full, closed, or there is none
                for _ in range(together.count(b"\n") + len(waiting)):
                    self._counts.event("log_lines_lost")
                return


def routed(exchange: "Exchange", request: Request) -> str:
    """The line of a request to an expert that has ended."""
    chosen, margin, _ = exchange.choice
    tried = exchange.tried[-1] if exchange.tried else None
    return json.dumps(
        _common(exchange.client, request.head.path, request.identity)
        | {
            "user": exchange.user or None,
            "status": exchange.status or None,
            "cause": exchange.cause or None,
            "expert": tried.cluster if tried else None,
            "replica": tried.url if tried else None,
            "chosen": chosen if exchange.decided else None,
            "margin": None if margin == NO_MARGIN else round(margin, 6),
            "attempts": len(exchange.tried),
            "body_bytes": exchange.body_bytes,
            "took_s": round(exchange.took_s, 6),
        }
    )


def unrouted(client: "Client", path: bytes, identity: bytes, status: int, cause: str) -> str:
    """The line of a request that no expert was to get; `path` is empty where it was not read."""
    return json.dumps(
        _common(client, path, identity)
        | NOTHING
        | {"status": status or None, "cause": cause or None}
    )


def _common(client: "Client", path: bytes, identity: bytes) -> dict[str, object]:
    return {
        "unix_s": round(time.time(), 3),
        "id": identity.decode(errors="replace") or None,
        "client": client.peer or None,
        "path": path.decode(errors="replace") or None,
    }
