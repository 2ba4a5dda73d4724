"""Server-sent events, wherever the bytes are cut."""

import pytest

from er.load.answer import BadAnswerError
from er.load.events import EVENT_AT_MOST, EventReader

STREAM = (
    b"data: one\n\n: a comment\n\nevent: x\r\ndata: two\r\ndata:three\r\n\r\ndata: {}\n\n"
    b"data: four\r\rdata: five\r\n\r\ndata:\n\ndata: six\n"
)
EVENTS = [b"one", b"two\nthree", b"{}", b"four", b"five"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(STREAM)])
def test_events_do_not_depend_on_chunks(size: int) -> None:
    reader = EventReader()
    got = []
    for start in range(0, len(STREAM), size):
        got += reader.feed(STREAM[start : start + size])
    assert got == EVENTS
    assert reader.close() == [b"six"]
    assert reader.error is None


def test_an_event_named_error_is_kept_apart() -> None:
    reader = EventReader()
    assert reader.feed(b"event: error\ndata: gone\n\ndata: {}\n\n") == [b"{}"]
    assert reader.error == b"gone"


@pytest.mark.parametrize("size", [1000, 60_000])
def test_an_endless_event_is_refused(size: int) -> None:
    reader = EventReader()

    def feed() -> None:
        for _ in range(EVENT_AT_MOST // size + 1):
            reader.feed(b"x" * size)

    with pytest.raises(BadAnswerError, match="an event of more than 1 MiB"):
        feed()
