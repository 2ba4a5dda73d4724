"""Experts in Python that benchmarks let fail, and clients that see how their answers end.

python -m benchmarks.gateway_experts PORT     # an expert as a process that can be killed
"""

import asyncio
import json
import sys
import time
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httptools
import uvloop

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"text_output":"word "}\n\n'
TOKEN = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
END = b"0\r\n\r\n"
BODY = json.dumps({"text_input": "court", "max_tokens": 40, "stream": True}).encode()
REQUEST = (
    b"POST /v2/models/ensemble/generate_stream HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n%b"
    % (len(BODY), BODY)
)
READ_BYTES = 262144

Answer = Callable[[Writer, bytes], Awaitable[None]]  # to a request's body


class Expert:
    """A backend in this process; `left_s` is when a connection to it ended last."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.left_s = 0.0
        self.received = asyncio.Event()  # a whole request
        self.writers: set[Writer] = set()

    async def _serve(self, reader: Reader, writer: Writer) -> None:
        self.writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                self.received.set()
                working = asyncio.ensure_future(self._answer(writer, body))
                watching = asyncio.ensure_future(reader.read(1))
                done, _ = await asyncio.wait({working, watching}, return_when="FIRST_COMPLETED")
                if watching in done:
                    self.left_s = time.perf_counter()
                    working.cancel()
                    await asyncio.gather(working, watching, return_exceptions=True)
                    return
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
        except (OSError, EOFError, asyncio.CancelledError):
            self.left_s = time.perf_counter()
        finally:
            self.writers.discard(writer)
            writer.close()

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[str]:
        """Its address."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, backlog=4096)
        port = self._server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/v2/models/m/generate_stream"
        self.die()

    def die(self) -> None:
        """Reset every connection and accept no more."""
        self._server.close()
        for writer in list(self.writers):
            writer.transport.abort()


class Reply:
    """An answer, read by its own framing: a head alone may end like the last chunk of a stream."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.complete = False
        self._parser = httptools.HttpResponseParser(self)

    def on_body(self, piece: bytes) -> None:
        """httptools: a piece of the content."""
        self.content += piece

    def on_message_complete(self) -> None:
        """httptools: the answer has ended."""
        self.complete = True

    def feed(self, data: bytes) -> None:
        """Take in bytes from the socket."""
        self._parser.feed_data(data)

    @property
    def status(self) -> int:
        """The HTTP status; 0 before the head has come."""
        return int(self._parser.get_status_code())


async def fetch(port: int, timeout_s: float = 60.0) -> Reply:
    """The answer to one prompt; what came of it where it does not end in time."""
    reply = Reply()
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(REQUEST)
                while not reply.complete and (data := await reader.read(READ_BYTES)):
                    reply.feed(data)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        pass
    return reply


def main() -> None:
    """Serve on a port until killed: 20 tokens, or fewer where fewer are wanted (by a probe)."""
    port, interval_s = int(sys.argv[1]), float(sys.argv[2])

    async def answer(writer: Writer, body: bytes) -> None:
        writer.write(HEAD)
        for _ in range(min(20, json.loads(body).get("max_tokens", 20))):
            writer.write(TOKEN)
            await asyncio.sleep(interval_s)
        writer.write(END)

    async def serve() -> None:
        async with Expert(answer).serving(port):
            await asyncio.Event().wait()

    uvloop.run(serve())


if __name__ == "__main__":
    main()
