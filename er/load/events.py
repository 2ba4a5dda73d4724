"""Server-sent events, cut out of a stream of bytes that may break anywhere."""


class EventReader:
    """Collects the data of events from chunks; an event ends with an empty line."""

    def __init__(self) -> None:
        self._line = b""  # begun, not ended
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of every event that `chunk` completes."""
        if not self._line and not self._data and _one_event(chunk):
            return [chunk[6:-2]]
        *lines, self._line = (self._line + chunk).split(b"\n")
        events = []
        for line in lines:
            text = line.removesuffix(b"\r")
            if text.startswith(b"data:"):
                self._data.append(text[5:].removeprefix(b" "))
            elif not text and self._data:
                events.append(b"\n".join(self._data))
                self._data = []
        return events

    @property
    def half(self) -> bool:
        """Whether an event has begun and not ended."""
        return bool(self._data or self._line.strip())


def _one_event(chunk: bytes) -> bool:
    """Whether `chunk` is one event of one line from end to end, as servers send tokens."""
    end = len(chunk) - 2
    return chunk.startswith(b"data: ") and chunk.find(b"\n") == end and chunk.endswith(b"\n\n")
