"""Large bodies, read in steps, with a turn for others between them.

Reading a text with escapes takes up to 4 ms a megabyte. So long texts are taken out of the body, a
mark in the place of each, and decoded piece by piece; what is left is read at once. An expert's
request is made from what is left too, and gets its texts back as the client wrote them.
"""

import asyncio
import re
import secrets
from collections.abc import Iterator

import msgspec

from er.gateway.fast.refusal import Refusal

LARGE_BYTES = 2**16  # a body that is read in steps
STEP_BYTES = 2**16
SCAN_BYTES = 2**14  # of a text: escapes take 30 ns each
TEXT_WORK = 100  # bytes that take as long as a short text
TEXT_BYTES = 128  # longer ones are taken out
VALUES_AT_MOST = 2**13  # more would take long to read
OTHER_BYTES_AT_MOST = 2**18  # outside of texts
QUOTE = ord('"')
WITHIN_TEXT = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
HIGH_SURROGATE = re.compile(rb"\\u[dD][89abAB]")
MARK = f"er-{secrets.token_hex(16)}-"  # nobody can write one
MARKS, MARKS_IN_BYTES = re.compile(f"{MARK}(\\d+);"), re.compile(f"{MARK}(\\d+);".encode())

_decoder = msgspec.json.Decoder(str)


class LargeBody:
    """A body without its long texts, and the texts, as the client wrote them."""

    def __init__(self, outline: bytes, texts: list[bytes]) -> None:
        self.outline = outline
        self._texts = texts

    async def decode(self, text: str) -> str:
        """A string of the outline, with its texts in it. Raises ValueError where one is broken."""
        pieces: list[str] = []
        unread = 0
        for at, part in enumerate(MARKS.split(text)):
            if at % 2 == 0:
                pieces.append(part)
                continue
            for piece in cut(self._texts[int(part)]):
                try:
                    pieces.append(_decoder.decode(b'"%b"' % piece))
                except (msgspec.DecodeError, UnicodeDecodeError):
                    raise ValueError("the body is not JSON") from None
                unread += len(piece)
                if unread >= STEP_BYTES:
                    unread = 0
                    await asyncio.sleep(0)
        return "".join(pieces)

    def restore(self, outline: bytes) -> bytes:
        """JSON that was made of the outline, with the texts in their places."""
        parts = MARKS_IN_BYTES.split(outline)
        parts[1::2] = [self._texts[int(number)] for number in parts[1::2]]
        return b"".join(parts)


async def take_apart(body: bytes) -> LargeBody:
    """Find the long texts of a body. Raises Refusal where too much else is in it."""
    outline: list[bytes] = []
    texts: list[bytes] = []
    values = other_bytes = at = work = 0
    while at < len(body):
        begin = body.find(b'"', at) + 1 or len(body)
        other_bytes += begin - at
        if other_bytes <= OTHER_BYTES_AT_MOST:
            values += sum(body.count(mark, at, begin) for mark in (b",", b"[", b"{"))
        if values > VALUES_AT_MOST or other_bytes > OTHER_BYTES_AT_MOST:
            raise Refusal(400, "bad_request", "the body holds too many values, or is nested deeply")
        outline.append(body[at:begin])
        end = begin
        while end < len(body) and body[end] != QUOTE:
            found = WITHIN_TEXT.match(body, end, end + SCAN_BYTES)
            if not found or found.end() == end:
                raise Refusal(400, "bad_request", "the body is not JSON")
            work += found.end() - end
            end = found.end()
            if work >= SCAN_BYTES:
                work = 0
                await asyncio.sleep(0)
        if end - begin > TEXT_BYTES:
            outline.append(f"{MARK}{len(texts)};".encode())
            texts.append(body[begin:end])
        else:
            outline.append(body[begin:end])
        outline.append(body[end : end + 1])
        at, work = end + 1, work + TEXT_WORK
    return LargeBody(b"".join(outline), texts)


def cut(text: bytes, step_bytes: int = STEP_BYTES) -> Iterator[bytes]:
    """Pieces of a text as JSON writes it; each can be decoded by itself."""
    begin = 0
    while len(text) - begin > step_bytes:
        end = _boundary(text, begin, begin + step_bytes)
        yield text[begin:end]
        begin = end
    yield text[begin:]


def _boundary(text: bytes, begin: int, end: int) -> int:
    """A place at or before `end` that splits no character, escape or pair of surrogates."""
    for _ in range(3):
        end -= text[end] & 0xC0 == 0x80
    escape = text.rfind(b"\\", end - 5, end)
    if escape >= 0 and _is_escape(text, begin, escape):
        end = escape
    if HIGH_SURROGATE.match(text, end - 6) and _is_escape(text, begin, end - 6):
        end -= 6
    return end


def _is_escape(text: bytes, begin: int, at: int) -> bool:
    """Whether the backslash at this place begins an escape; none is split at `begin`."""
    before = text[begin : at + 1]
    return (len(before) - len(before.rstrip(b"\\"))) % 2 == 1
