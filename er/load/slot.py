"""One connection of load.client=sockets."""

import socket

from er.load import http
from er.results.request import Request


class Slot:
    """One connection, kept between requests, and the request it carries."""

    __slots__ = (
        "answer",
        "blocked",
        "connected",
        "data",
        "kept",
        "last_s",
        "out",
        "request",
        "serial",
        "socket",
    )

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.connected = False
        self.data = b""  # the whole request
        self.out = b""  # the part of it that has not been sent
        self.kept = False  # whether the connection is older than the request
        self.blocked = False  # whether the kernel accepts no more data for now
        self.request: Request | None = None
        self.answer = http.Answer()
        self.last_s = 0.0  # arrival of the last bytes
        self.serial = 0  # of the request: shows whether a deadline is still its own
