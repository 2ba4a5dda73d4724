"""A client's request."""

from er.gateway.fast.request_head import RequestHead


class Request:
    """One request, as far as its body has been read."""

    __slots__ = ("body", "head", "identity", "keep_alive", "reserved")

    def __init__(self, head: RequestHead, body: bytes = b"") -> None:
        self.head = head
        self.identity = head.identity  # its request id
        self.keep_alive = head.keep_alive
        self.body = body  # once it is whole
        self.reserved = 0  # bytes of the body that are accounted for
