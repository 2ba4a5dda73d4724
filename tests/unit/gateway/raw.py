"""Clients and experts that speak bytes, for what no library would say."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.standins.waiting import LIMIT_S
from tests.unit.gateway.conftest import HOST

PATH = "/v2/models/ensemble/generate_stream"
BODY = b'{"text_input": "court"}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(payload: bytes) -> bytes:
    """One chunk."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def post(body: bytes = BODY, *headers: str, path: str = PATH) -> bytes:
    """A request as clients send it."""
    lines = [f"POST {path} HTTP/1.1", "host: h", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def say(port: int, data: bytes, timeout_s: float = LIMIT_S) -> bytes:
    """What comes back until the gateway closes, or one whole answer has come."""
    reader, writer = await asyncio.open_connection(HOST, port)
    got = b""
    try:
        async with asyncio.timeout(timeout_s):
            writer.write(data)
            while not is_whole(got) and (piece := await reader.read(65536)):
                got += piece
    except (ConnectionResetError, BrokenPipeError):
        pass
    finally:
        writer.close()
    return got


def is_whole(answer: bytes) -> bool:
    """Whether an answer has ended, by its own framing."""
    head, blank, body = answer.partition(b"\r\n\r\n")
    if not blank:
        return False
    head = head.lower()
    if b"transfer-encoding: chunked" in head:
        return body.endswith(END)
    length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return bool(length) and len(body) >= int(length)


def status(answer: bytes) -> int:
    """Of an answer; 0 for none."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


@dataclass
class RawExpert:
    """Answers every request by `answer(writer)`; the connection closes when that returns False."""

    answer: Callable[[asyncio.StreamWriter], Awaitable[bool]]
    received: list[bytes] = field(default_factory=list)  # heads and bodies
    connections: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            goes_on = True
            while goes_on:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                self.received.append(head + await reader.readexactly(int(length or b"0")))
                goes_on = await self.answer(writer)
                await writer.drain()
        except (OSError, EOFError):
            self.left.set()
        finally:
            writer.close()

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[str]:
        """Its URL, for as long as the block lasts."""
        async with await asyncio.start_server(self._serve, HOST, port) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield f"http://{HOST}:{self.port}/generate_stream"
            server.close()


def answering(data: bytes, *, goes_on: bool = True) -> RawExpert:
    """An expert that always says the same."""

    async def answer(writer: asyncio.StreamWriter) -> bool:
        writer.write(data)
        return goes_on

    return RawExpert(answer)
