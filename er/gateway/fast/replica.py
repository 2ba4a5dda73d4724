"""One expert's address: its idle connections, its breaker, and how a request to it begins."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from er.config.gateway import OPENAI_ENDINGS, TRITON_ENDINGS, is_openai

if TYPE_CHECKING:
    from er.gateway.fast.connection import Connection

TRITON, OPENAI = "triton", "openai"


class Replica:
    """Several replicas make up an expert: the models that answer one cluster's prompts."""

    def __init__(self, slot: int, cluster: int, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        self.slot, self.cluster, self.url = slot, cluster, url
        self.host, self.port = parts.hostname, parts.port or 80
        path = parts.path.rstrip("/")
        self.dialect = OPENAI if is_openai(url) else TRITON
        for ending in (*OPENAI_ENDINGS, *TRITON_ENDINGS):
            if path.endswith(ending):
                path = path.removesuffix(ending)
                break
        self._base = path
        query = f"?{parts.query}" if parts.query else ""
        self._tail = f"{query} HTTP/1.1\r\nhost: {parts.netloc}\r\n".encode()
        self.model = ""  # what the expert calls its model; empty: not known
        self.discover_at_s = 0.0  # when to look for it next
        self.idle: deque[Connection] = deque()  # the one used last at the end
        self.failures = 0  # in a row
        self.probe_at_s = 0.0  # 0: the breaker is closed
        self.probing = False
        self.removed = False  # for good
        self.drained = False  # by the administrator, until it is restored
        self.usable = True  # whether it may be sent requests
        self._starts: dict[str, bytes] = {}

    @property
    def wants_model(self) -> bool:
        """Whether it is an OpenAI-compatible expert whose model is not known yet."""
        return self.dialect == OPENAI and not (self.model or self.removed)

    def models_request(self) -> bytes:
        """A request for the models of an OpenAI-compatible expert."""
        return f"GET {self._base}/models".encode() + self._tail + b"connection: close\r\n\r\n"

    def start(self, action: str) -> bytes:
        """Request line and Host of a POST for `action`: generate_stream, chat/completions..."""
        known = self._starts.get(action)
        if known is None:
            known = f"POST {self._base}/{action}".encode() + self._tail
            self._starts[action] = known
        return known

    def take(self) -> "Connection | None":
        """An idle connection that is still open."""
        while self.idle:
            connection = self.idle.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    def fail(self, now_s: float, at_most: int, open_s: float) -> bool:
        """It has not answered as it should; after `at_most` times the breaker opens: True."""
        self.failures += 1
        opens = self.failures >= at_most and not self.probe_at_s
        if opens:
            self.open_breaker(now_s + open_s)
        return opens

    def open_breaker(self, until_s: float) -> None:
        """Send it nothing until a probe, at this time, finds it ready."""
        self.probe_at_s = until_s
        self.usable = False

    def close_breaker(self) -> None:
        """It has answered a probe."""
        self.failures, self.probe_at_s = 0, 0.0
        self.usable = not (self.removed or self.drained)

    def set_drained(self, drained: bool) -> None:
        """Send it nothing new, or send it requests again."""
        self.drained = drained
        self.usable = not (self.probe_at_s or self.removed or drained)

    def remove(self) -> None:
        """Send it nothing any more."""
        self.removed, self.usable = True, False
        self.close_idle()

    def take_back(self) -> None:
        """Send it requests again after it was removed."""
        self.removed = self.drained = False
        self.close_breaker()

    def close_idle(self, older_than_s: float = float("inf")) -> None:
        """Close idle connections that were last used before this time."""
        for connection in [c for c in self.idle if c.idle_since_s <= older_than_s]:
            self.idle.remove(connection)
            connection.transport.close()


async def connect(replica: Replica, factory: "type[Connection]") -> "Connection":
    """A new connection. Raises OSError."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        lambda: factory(replica), replica.host, replica.port
    )
    return connection
