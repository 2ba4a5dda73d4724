"""Parse server-sent events from a stream of bytes that may be split anywhere.

As in the standard (html.spec.whatwg.org, 9.2.6), lines end with CR, LF or both, a byte order mark
may come first, comments and unknown fields are ignored, and an event without data does not count.
"""

from er.load.answer import BadAnswerError

EVENT_AT_MOST = 1 << 20  # bytes
LINES_AT_MOST = 1 << 20  # of an answer: each costs time, and most of them memory
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventReader:
    """Collects the data of events from chunks of bytes; an event ends with an empty line."""

    def __init__(self) -> None:
        self.error: bytes | None = None  # data of the first event with the name `error`
        self._line = bytearray()  # a line whose end has not arrived
        self._data: list[bytes] = []
        self._size = 0  # of the data
        self._name = b""
        self._after_cr = False  # a line feed that comes next belongs to the same line end
        self._first = True  # whether no line has ended yet
        self._lines = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of every event that `chunk` completes.

        Raises BadAnswerError when an event is longer than EVENT_AT_MOST, or the answer has more
        than LINES_AT_MOST lines.
        """
        if not (self._line or self._data or self._name) and _one_event(chunk):
            self._after_cr = self._first = False
            self._count(2)
            return [chunk[6:-2]]
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")
        if chunk:
            self._after_cr = chunk.endswith(b"\r")
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = chunk.split(b"\n")
        self._count(len(lines))
        events: list[bytes] = []
        for line in lines:
            self._line += line
            self._end_line(events)
        self._line += rest
        if len(self._line) + self._size > EVENT_AT_MOST:
            raise BadAnswerError(f"an event of more than {EVENT_AT_MOST >> 20} MiB")
        return events

    def close(self) -> list[bytes]:
        """The data of an event at the end of the stream, whose empty line may be missing."""
        events: list[bytes] = []
        if self._line:
            self._end_line(events)
        self._end_line(events)
        return events

    def _count(self, lines: int) -> None:
        self._lines += lines
        if self._lines > LINES_AT_MOST:
            raise BadAnswerError(f"an answer of more than {LINES_AT_MOST} lines")

    def _end_line(self, events: list[bytes]) -> None:
        line = bytes(self._line)
        self._line.clear()
        if self._first:
            line = line.removeprefix(BYTE_ORDER_MARK)
            self._first = False
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._size += len(value)
        elif field == b"event":
            self._name = value
        elif not line:
            data = b"\n".join(self._data)
            if self._name == b"error":
                self.error = data if self.error is None else self.error
            elif data:
                events.append(data)
            self._data, self._size, self._name = [], 0, b""


def _one_event(chunk: bytes) -> bool:
    """Whether `chunk` is exactly one event of one line, as servers send tokens."""
    end = len(chunk) - 2
    return (
        chunk.startswith(b"data: {")
        and chunk.find(b"\n") == end
        and chunk.endswith(b"}\n\n")
        and b"\r" not in chunk
    )
