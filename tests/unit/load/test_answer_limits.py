"""The cost of an answer: time in proportion to its size, and limited memory."""

import gc
import json
import time
import tracemalloc
from collections.abc import Iterator

import pytest

from er.load import answer, events
from tests.unit.load.answers import OPEN_HEAD, PATHS, Dialect, sse
from tests.unit.load.fakes import HEAD
from tests.unit.load.offline import Deliver, by_aiohttp, by_sockets

PIECE = 65536  # bytes that a client reads at once
TOKEN = Dialect("chat").token()
HOSTILE = {  # how an answer begins, and what then comes again and again
    "blank lines": (OPEN_HEAD, b"\n"),
    "carriage returns": (OPEN_HEAD, b"\r"),
    "comments": (OPEN_HEAD, b":\n"),
    "empty data lines": (OPEN_HEAD, b"data:\n"),
    "tiny events": (OPEN_HEAD, b"data:1\n\n"),
    "tokens": (OPEN_HEAD, sse(TOKEN)),
    "one line": (OPEN_HEAD, b"x"),
    "one event": (OPEN_HEAD + b"data: ", b"x" * 100 + b"\ndata: "),
    "wide JSON": (OPEN_HEAD, sse(b'{"choices": [' + b"[]," * 1000 + b"0]}")),
    "tiny chunks": (HEAD, b"1\r\n\n\r\n"),
    "empty lines for chunks": (HEAD, b"\r\n"),
    "chunk extensions": (HEAD, b"1;" + b"x" * 500 + b"\r\n\n\r\n"),
    "trailers": (HEAD + b"0\r\n", b"x: y\r\n"),
    "one head": (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
    "informational answers": (b"", b"HTTP/1.1 103 Early\r\n\r\n"),
    "a refusal": (b"HTTP/1.1 500 No\r\n\r\n", b"x"),
    "another type": (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
}
clients = pytest.mark.parametrize("deliver", [by_sockets, by_aiohttp], ids=["sockets", "aiohttp"])


def pieces_of(name: str, size: int, piece: int = PIECE) -> list[bytes]:
    start, again = HOSTILE[name]
    whole = start + again * max(1, size // len(again))
    return [whole[at : at + piece] for at in range(0, len(whole), piece)]


def spent_s(deliver: Deliver, pieces: list[bytes]) -> float:
    """Processor seconds of one answer, the best of three; without collections of garbage, whose
    time grows with all that a process holds."""

    def once() -> float:
        begin_s = time.process_time()
        deliver(PATHS["chat"], pieces, 10**6)
        return time.process_time() - begin_s

    gc.disable()
    try:
        return min(once() for _ in range(3))
    finally:
        gc.enable()


@clients
@pytest.mark.parametrize("name", HOSTILE)
def test_time_grows_with_the_size_of_an_answer(deliver: Deliver, name: str) -> None:
    small, large = (spent_s(deliver, pieces_of(name, size)) for size in (1 << 14, 1 << 17))
    assert large < 0.02 + 3 * 8 * small  # 8 times as much data; a square would be 64
    assert large < 1.0


@clients
@pytest.mark.parametrize("name", HOSTILE)
def test_time_grows_with_the_pieces_of_an_answer(deliver: Deliver, name: str) -> None:
    small, large = (spent_s(deliver, pieces_of(name, size, 1)) for size in (1 << 10, 1 << 13))
    assert large < 0.02 + 3 * 8 * small


class Endless(list[bytes]):
    """The same bytes again and again, more than any answer may have, and held once."""

    def __init__(self, name: str) -> None:
        start, again = HOSTILE[name]
        super().__init__([start] if start else [])
        self._piece = again * (PIECE // len(again))

    def __iter__(self) -> Iterator[bytes]:
        yield from super().__iter__()
        for _ in range(2 * answer.ANSWER_AT_MOST // PIECE):
            yield self._piece


@pytest.mark.parametrize("name", sorted(set(HOSTILE) - {"a refusal", "another type"}))
def test_an_endless_answer_fails_by_name_and_in_little_memory(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer, "ANSWER_AT_MOST", answer.ANSWER_AT_MOST >> 7)
    monkeypatch.setattr(events, "LINES_AT_MOST", events.LINES_AT_MOST >> 7)
    tracemalloc.start()
    try:
        request = by_sockets(PATHS["chat"], Endless(name), 10**6)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert request.error.startswith(
        ("an answer of more", "an event of more", "a head of more", "not HTTP: ", "broken")
    )
    assert peak_bytes < 4 * answer.ANSWER_AT_MOST + 16e6


def test_one_event_of_hostile_json_takes_little_memory() -> None:
    wide = json.dumps({"choices": [[]] * 100_000}).encode()
    pieces = [OPEN_HEAD, *[b"data: " + wide + b"\n\n"] * 6]
    tracemalloc.start()
    try:
        by_sockets(PATHS["chat"], pieces, 10**6)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 50e6
