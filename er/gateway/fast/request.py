"""A client's request."""

from er.gateway.fast.request_head import RequestHead


class Request:
    """One request, as far as its body has been read."""

    __slots__ = ("head", "identity", "keep_alive", "pieces", "reserved", "size")

    def __init__(self, head: RequestHead) -> None:
        self.head = head
        self.identity = head.identity  # its request id
        self.keep_alive = head.keep_alive
        self.pieces: list[bytes] = []
        self.size = self.reserved = 0  # bytes of the body: read, and accounted for

    @property
    def body(self) -> bytes:
        """The whole body."""
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
