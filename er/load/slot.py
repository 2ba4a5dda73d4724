"""One connection of the sockets client."""

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
        self.data = b""  # the request, whole
        self.out = b""  # still to be sent
        self.kept = False  # whether the connection was there before the request
        self.blocked = False  # the kernel takes no more for now
        self.request: Request | None = None
        self.answer = http.Answer()
        self.last_s = 0.0  # arrival of the last bytes
        self.serial = 0  # of the request, to know it again when its time is over
