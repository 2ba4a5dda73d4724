"""Server-sent events out of bytes that are cut anywhere."""

import re

EVENT_AT_MOST = 4 * 2**20
BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r")
LINE = re.compile(rb"\r\n|\n|\r")


class Events:
    """Gives the data of each event; comments and other fields are passed over."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Of every event that has ended. Raises ValueError for one that grows without end."""
        pieces = BLANK_LINE.split(self._rest + data)
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
    lines = [line for line in LINE.split(event) if line.startswith(b"data:")]
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines)
