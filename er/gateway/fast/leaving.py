"""Sees clients leave whose connections are not read, since what they have sent ahead waits."""

import asyncio
import select
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from er.gateway.fast.client import Client


class Leaving:
    """Watches sockets for their end alone: what could be read of them wakes nobody up."""

    def __init__(self) -> None:
        self._poll: select.epoll | None = None
        self._watched: dict[int, Client] = {}

    def watch(self, descriptor: int, client: "Client") -> None:
        """Close the connection when this client sends nothing more."""
        if self._poll is None:
            self._poll = select.epoll()
            asyncio.get_running_loop().add_reader(self._poll.fileno(), self._look, self._poll)
        with suppress(OSError, ValueError):  # below TLS it may be closed already
            self._poll.register(descriptor, select.EPOLLRDHUP)
            self._watched[descriptor] = client

    def forget(self, descriptor: int, client: "Client") -> None:
        """Its connection is read again, or has ended."""
        if self._poll and self._watched.get(descriptor) is client:
            del self._watched[descriptor]
            with suppress(OSError):
                self._poll.unregister(descriptor)

    def close(self) -> None:
        """Watch no more."""
        if self._poll:
            asyncio.get_running_loop().remove_reader(self._poll.fileno())
            self._poll.close()
            self._poll = None

    def _look(self, poll: select.epoll) -> None:
        for descriptor, _ in poll.poll(0):
            client = self._watched[descriptor]
            self.forget(descriptor, client)
            client.close()
