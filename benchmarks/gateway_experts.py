"""Experts in Python that benchmarks let fail, and clients that see how their answers end.

python -m benchmarks.gateway_experts serve PORT INTERVAL_S     # an expert that can be killed
python -m benchmarks.gateway_experts send PORT                 # requests by PATH BODY_FILE lines
"""

import asyncio
import json
import socket
import sys
import time
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

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
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                body = await reader.readexactly(int(length or b"0"))
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


class Ticking(Expert):
    """Sends a token at every interval, to one client at a time, and knows when.

    A stream has `tokens` tokens, and more until `may_end` is set.
    """

    def __init__(self, tokens: int, interval_s: float) -> None:
        super().__init__(self._tick)
        self._tokens, self._interval_s = tokens, interval_s
        self._sent_s: list[float] = []
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def _tick(self, writer: Writer, _body: bytes) -> None:
        self._sent_s = []
        writer.write(HEAD)
        while len(self._sent_s) < self._tokens or not self.may_end.is_set():
            self._sent_s.append(time.perf_counter())
            writer.write(TOKEN)
            await asyncio.sleep(self._interval_s)
        writer.write(END)

    async def longest_relay(self, port: int) -> float:
        """Seconds from a token's sending to its arrival through the gateway at `port`, the longest
        of a stream; infinite where the stream is not whole."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        reply, longest_s, seen = Reply(), 0.0, 0
        while not reply.complete and (data := await reader.read(READ_BYTES)):
            now_s = time.perf_counter()
            reply.feed(data)
            arrived = reply.content.count(EVENT)
            longest_s = max([longest_s, *(now_s - sent_s for sent_s in self._sent_s[seen:arrived])])
            seen = arrived
        writer.close()
        return longest_s if reply.complete and seen == len(self._sent_s) else float("inf")


def main() -> None:
    """Serve, or send."""
    action, *arguments = sys.argv[1:]
    if action == "serve":
        serve(*arguments)
    else:
        send(*arguments)


def send(port: str) -> None:
    """For each line of standard input, `PATH FILE`: send the file as a request, and print the
    seconds until its answer has ended. Raises SystemExit when one is refused."""
    for line in sys.stdin:
        path, file = line.split()
        body = Path(file).read_bytes()
        head = f"POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {len(body)}\r\n\r\n"
        reply, started_s = Reply(), time.perf_counter()
        with socket.create_connection(("127.0.0.1", int(port))) as connection:
            connection.sendall(head.encode() + body)
            while not reply.complete and (data := connection.recv(READ_BYTES)):
                reply.feed(data)
        if reply.status != 200 or not reply.complete:
            sys.exit(f"{reply.status}: {bytes(reply.content[:200])!r}")
        print(time.perf_counter() - started_s, flush=True)


def serve(port: str, interval_s: str) -> None:
    """Serve on a port until killed: 20 tokens, or fewer where fewer are wanted (by a probe)."""

    async def answer(writer: Writer, body: bytes) -> None:
        writer.write(HEAD)
        for _ in range(min(20, json.loads(body or b"{}").get("max_tokens", 20))):
            writer.write(TOKEN)
            await asyncio.sleep(float(interval_s))
        writer.write(END)

    async def serve_for_ever() -> None:
        async with Expert(answer).serving(int(port)):
            await asyncio.Event().wait()

    uvloop.run(serve_for_ever())


if __name__ == "__main__":
    main()
