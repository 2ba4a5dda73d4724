"""The chunked transfer encoding (RFC 9112, section 7.1), passed on or undone."""

import re

SIZE = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\Z")
LINE_AT_MOST = 4096
END = b"0\r\n\r\n"

# Sizes that were seen, so that a token costs one look-up: at most 65,536 of them.
sizes: dict[bytes, int] = {f"{size:x}".encode(): size for size in range(1, 4096)}


class FramingError(Exception):
    """The peer does not keep to the encoding."""


def chunk(payload: bytes) -> bytes:
    """One chunk; nothing for no payload, which would end the stream."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""


class Chunks:
    """Takes a chunked stream apart, wherever the reads cut it."""

    __slots__ = ("_last", "_left", "_line", "ended", "rest")

    def __init__(self) -> None:
        self._line = b""  # begun, not ended
        self._left = 0  # bytes of the current chunk to come, with its line end
        self._last = False  # only trailers are to come
        self.ended = False
        self.rest = b""  # what came after the end

    @property
    def at_boundary(self) -> bool:
        """Whether a new chunk is to begin."""
        return not (self._left or self._line or self._last)

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces of payload within `data`. Raises FramingError."""
        if self._line:
            data, self._line = self._line + data, b""
        pieces: list[bytes] = []
        at, length = 0, len(data)
        while at < length and not self.ended:
            if self._left > 2:
                piece = data[at : at + self._left - 2]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
            elif self._left:
                if data[at] != (13 if self._left == 2 else 10):
                    raise FramingError("a chunk is longer than its size")
                at += 1
                self._left -= 1
            else:
                end = data.find(b"\r\n", at)
                if end < 0:
                    self._line = data[at:]
                    if len(self._line) > LINE_AT_MOST:
                        raise FramingError("the line of a chunk's size does not end")
                    return pieces
                self._begin(data[at:end])
                at = end + 2
        self.rest = data[at:]
        return pieces

    def _begin(self, line: bytes) -> None:
        if self._last:
            self.ended = not line
            return
        found = SIZE.match(line)
        if not found:
            raise FramingError("a chunk's size is no number")
        size = int(found[1], 16)
        self._last = not size
        self._left = size + 2 if size else 0


def whole_chunks(data: bytes) -> int:
    """How many leading bytes are whole chunks in the plainest form, the last chunk excepted."""
    at, length = 0, len(data)
    while at < length:
        line = data.find(b"\r\n", at, at + 10)
        size = sizes.get(data[at:line]) if line > 0 else None
        if size is None:
            break
        end = line + 4 + size
        if end > length or data[end - 2 : end] != b"\r\n":
            break
        at = end
    return at
