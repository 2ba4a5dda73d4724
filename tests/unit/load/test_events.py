"""Server-sent events, wherever the bytes are cut."""

import pytest

from er.load.events import EventReader

STREAM = b"data: one\n\n: a comment\n\nevent: x\r\ndata: two\r\ndata:three\r\n\r\ndata: {}\n\n"
EVENTS = [b"one", b"two\nthree", b"{}"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(STREAM)])
def test_events_do_not_depend_on_chunks(size: int) -> None:
    reader = EventReader()
    got = []
    for start in range(0, len(STREAM), size):
        got += reader.feed(STREAM[start : start + size])
    assert got == EVENTS
    assert not reader.half


@pytest.mark.parametrize("rest", [b"data: on", b"data: one\n"])
def test_half_an_event_is_seen(rest: bytes) -> None:
    reader = EventReader()
    assert reader.feed(rest) == []
    assert reader.half
