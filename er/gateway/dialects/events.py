"""Server-sent events out of bytes that are cut anywhere."""

import re

import msgspec

EVENT_AT_MOST = 4 * 2**20
BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r")
LINE = re.compile(rb"\r\n|\n|\r")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
NAMED_ERROR = frozenset((b"event: error", b"event:error"))


class Events:
    """Gives the data of each event; comments and other fields are passed over."""

    def __init__(self) -> None:
        self._rest = b""
        self._first = True

    def feed(self, data: bytes) -> list[bytes]:
        """Of every event that has ended. Raises ValueError for one that grows without end."""
        data = self._rest + data
        if self._first and len(data) >= len(BYTE_ORDER_MARK):
            self._first = False
            data = data.removeprefix(BYTE_ORDER_MARK)
        pieces = BLANK_LINE.split(data)
        self._rest = pieces.pop()
        if len(self._rest) > EVENT_AT_MOST:
            raise ValueError("an event does not end")
        return [found for piece in pieces if (found := _data(piece))]

    def close(self) -> list[bytes]:
        """The last event, which need not end with a blank line."""
        found = _data(self._rest)
        self._rest = b""
        return [found] if found else []


def _data(event: bytes) -> bytes:
    """The data of an event; that of one named `error` becomes an object that says so."""
    lines = LINE.split(event)
    data = b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
    if not NAMED_ERROR.intersection(lines):
        return data
    try:
        problem = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        problem = data.decode(errors="replace")
    return msgspec.json.encode({"error": problem or "an error without a word"})
