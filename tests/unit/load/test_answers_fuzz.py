"""Random answers through both clients of HTTP: drawn, broken and cut.

ER_FUZZ_CASES sets the number of cases for each client; `make test` draws a few. For all of them:

    ER_FUZZ_CASES=20000 python -m pytest --timeout=0 tests/unit/load/test_answers_fuzz.py
"""

import json
import os
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from er.results.request import Request
from tests.unit.load.answers import (
    BAD,
    GOOD,
    OLD_HEAD,
    OPEN_HEAD,
    PATHS,
    TOKENS,
    Dialect,
    chunked,
    sse,
)
from tests.unit.load.fakes import HEAD
from tests.unit.load.offline import Deliver, by_aiohttp, by_sockets

CASES = int(os.environ.get("ER_FUZZ_CASES", "150"))
LONGEST_S = 2.0  # of the processor, for one small answer; who waits instead has a timeout as cause
CAUSES = re.compile(
    r"server error: |not JSON in an event: |not an object in an event: |no tokens$|"
    r"token_lateness is not a number: |the stream ended inside an event$|the answer was cut off: |"
    r"HTTP \d+|content type .* is not an event stream|content encoding .*: identity was requested$|"
    r"not HTTP: |broken chunks in the stream$|connection broke inside the stream$|"
    r"connection closed before an answer$|connection reset$|an event of more than 1 MiB$|"
    r"an answer of more than "
)
fuzz = settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # a hang takes seconds, and its shrinking an hour
    suppress_health_check=list(HealthCheck),
)
clients = pytest.mark.parametrize("deliver", [by_sockets, by_aiohttp], ids=["sockets", "aiohttp"])

numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=True)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)
NAMES = (
    *("text_output", "choices", "delta", "content", "text", "usage", "error", "object", "message"),
    *("token_lateness", "finish_reason", "reasoning", "tool_calls", "completion_tokens"),
)
names = st.sampled_from(NAMES)
objects = st.recursive(
    st.dictionaries(names, values, max_size=3),
    lambda inner: st.dictionaries(names, inner | st.lists(inner, max_size=2), max_size=3),
    max_leaves=4,
)
data = st.one_of(
    objects.map(lambda fields: json.dumps(fields).encode()),
    st.sampled_from([b"[DONE]", b"", b"ping", b"{", b"null", b"[" * 3000, b"1" * 5000]),
    st.binary(max_size=20),
)
fields = st.one_of(
    data.map(lambda piece: b"data: " + piece),
    st.sampled_from([b": ping", b"id: 7", b"retry: x", b"event: error", b"event: message", b""]),
)
line_ends = st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n", b"\n\n", b"\r\n\r\n"])
streams = st.lists(st.tuples(fields, line_ends).map(b"".join), max_size=8).map(b"".join)


@st.composite
def whole_answers(draw: st.DrawFn) -> tuple[str, bytes]:
    """A dialect, and an answer of the table or drawn, good or bad."""
    name = draw(st.sampled_from(sorted(PATHS)))
    dialect = Dialect(name)
    if draw(st.booleans()):
        makes: list[Callable[[Dialect], bytes]] = [
            *GOOD.values(),
            *(make for make, _ in BAD.values()),
        ]
        answer = draw(st.sampled_from(makes))(dialect)
        return name, answer[:70_000]
    events = sse(*[dialect.token()] * draw(st.integers(0, TOKENS))) + draw(streams)
    wrap = draw(st.sampled_from([chunked, OPEN_HEAD.__add__, OLD_HEAD.__add__, with_length]))
    return name, wrap(events)


def with_length(content: bytes) -> bytes:
    head = HEAD.replace(b"transfer-encoding: chunked", b"content-length: %d" % len(content))
    return head + content


@st.composite
def broken_answers(draw: st.DrawFn) -> tuple[str, bytes]:
    """The same, with bytes changed, left out or repeated."""
    name, answer = draw(whole_answers())
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(0, min(len(answer), 4000))))
        end = min(len(answer), at + draw(st.integers(0, 40)))
        new = draw(
            st.binary(max_size=6) | st.sampled_from([answer[at:end] * 2, b"\r\n", b"-1\r\n"])
        )
        answer = answer[:at] + new + answer[end:]
    return name, answer


@st.composite
def pieces_of(draw: st.DrawFn, answer: bytes) -> list[bytes]:
    """An answer as the network may deliver it."""
    places = st.integers(0, len(answer))
    cuts = sorted(draw(st.lists(places, max_size=6)))
    pieces = [answer[a:b] for a, b in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    return [piece for piece in pieces if piece]


def check(request: Request, spent_s: float) -> None:
    """What holds for every answer."""
    assert spent_s < LONGEST_S
    assert not request.error or CAUSES.match(request.error), request.error
    assert request.ok == (not request.error)
    assert request.text.encode() is not None
    assert request.error.encode() is not None
    assert request.token_times_s == sorted(request.token_times_s)
    json.dumps([request.token_lateness, request.usage_tokens], allow_nan=False)


def timed(deliver: Deliver, name: str, pieces: list[bytes]) -> Request:
    begin_s = time.process_time()
    request = deliver(PATHS[name], pieces, TOKENS)
    check(request, time.process_time() - begin_s)
    return request


@clients
@fuzz
@given(st.data())
def test_any_answer_ends_with_a_named_cause_or_tokens(deliver: Deliver, data: Any) -> None:
    name, answer = data.draw(broken_answers())
    timed(deliver, name, data.draw(pieces_of(answer)))


@clients
@fuzz
@given(st.data())
def test_a_cut_answer_succeeds_only_with_all_tokens_or_an_end(deliver: Deliver, data: Any) -> None:
    name, answer = data.draw(whole_answers())
    cut = answer[: data.draw(st.integers(0, max(0, len(answer) - 1)))]
    request = timed(deliver, name, data.draw(pieces_of(cut)))
    if request.ok:
        ended = b"[DONE]" in cut or b"finish_reason" in cut
        assert request.output_tokens >= TOKENS or ended


@clients
@pytest.mark.parametrize("name", PATHS)
def test_an_answer_cut_at_any_byte_succeeds_only_with_all_tokens(
    deliver: Deliver, name: str
) -> None:
    dialect = Dialect(name)
    for make in (GOOD["plain"], GOOD["closed at its end"], GOOD["a length"]):
        answer = make(dialect)
        framed = b"connection: close" not in answer
        for at in range(0, len(answer), 1 if CASES > 1000 else 7):
            request = timed(deliver, name, [answer[:at]] if at else [])
            assert not (request.ok and framed)
            assert not request.ok or request.output_tokens == TOKENS


@fuzz
@given(st.data())
def test_the_clients_agree(data: Any) -> None:
    name, answer = data.draw(whole_answers())
    cut = answer[: data.draw(st.integers(0, len(answer)))]
    pieces = data.draw(pieces_of(cut))
    ways = [(by_sockets, pieces), (by_aiohttp, pieces), (by_sockets, [cut] if cut else [])]
    requests = [timed(deliver, name, pieces) for deliver, pieces in ways]
    assert len({request.ok for request in requests}) == 1
    assert not requests[0].ok or len({request.text for request in requests}) == 1
