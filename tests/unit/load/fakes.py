"""Small servers with known behaviour, on a free loopback port."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psutil

from er.config import Load
from er.load.users import run_point
from er.results.request import Endpoint, Prompt, Request

HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\nx-er-expert: 3\r\n\r\n"
)
TLS_HANDSHAKE = b"\x16"
LAST_CHUNK = b"0\r\n\r\n"

T = TypeVar("T")
Answer = Callable[[dict[str, Any], asyncio.StreamWriter], Awaitable[None]]


def chunk(data: bytes) -> bytes:
    """One chunk of HTTP's chunked transfer encoding."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(text: str, **fields: object) -> bytes:
    """One server-sent event with one token."""
    return b"data: " + json.dumps({"text_output": text} | fields).encode() + b"\n\n"


@dataclass
class Server:
    """What a fake server saw."""

    endpoint: Endpoint
    bodies: list[dict[str, Any]] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    connections: int = 0
    heads: list[bytes] = field(default_factory=list)  # of POSTs


Serve = Callable[[Answer], Server]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[Server]:
    """A server that answers each POST with `answer`; a GET opens the connection, no more."""
    server = Server(Endpoint("", "fake"))

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        try:
            while True:
                head = await reader.readexactly(1)
                if head == TLS_HANDSHAKE:
                    writer.write(b"plain HTTP only")
                    return
                head += await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET"):
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    continue
                server.heads.append(head)
                body = json.loads(await reader.readexactly(_length(head)))
                server.bodies.append(body)
                server.in_flight += 1
                server.most_in_flight = max(server.most_in_flight, server.in_flight)
                try:
                    await answer(body, writer)
                    await writer.drain()
                finally:
                    server.in_flight -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=4096)
    port = listener.sockets[0].getsockname()[1]
    server.endpoint = Endpoint(f"http://127.0.0.1:{port}/v2/models/fake/generate_stream", "fake")
    try:
        yield server
    finally:
        listener.close()


@contextmanager
def in_thread(answer: Answer) -> Iterator[Server]:
    """A server on a loop of its own: the load generator brings its own loop too."""
    with in_loop(serving(answer)) as server:
        yield server


@contextmanager
def in_loop(serving: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """What `serving` gives, while it runs on a loop in a thread of its own."""
    started: Future[T] = Future()
    loop = asyncio.new_event_loop()
    done = asyncio.Event()

    async def main() -> None:
        async with serving as served:
            started.set_result(served)
            await done.wait()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    try:
        yield started.result(60)
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


async def stream(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    """Answer with as many tokens as asked, a chunk each."""
    writer.write(HEAD)
    for token in range(body["max_tokens"]):
        writer.write(chunk(event(f"t{token} ")))
        await writer.drain()
        await asyncio.sleep(0.001)
    writer.write(LAST_CHUNK)


def prompt(text: str = "Hello", output_tokens: int = 3) -> Prompt:
    """A prompt; its text tells it from others."""
    return Prompt(text, "greetings", 1, output_tokens)


LOAD: dict[str, Any] = {
    "name": "test",
    "concurrency": [1],
    "requests_per_user": 2,
    "requests_at_least": 1,
    "warmup_requests_per_user": 1,
    "request_timeout_s": 30.0,
    "gateway_probes": 0,
    "max_token_lateness": 0.1,
    "max_loop_lag_s": 0.01,
}


def load(**changes: Any) -> Load:
    """A small closed loop."""
    return Load(**(LOAD | changes))


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    raise AssertionError("a POST without a length")


def closed_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
    return port


def one(endpoint: Endpoint, **changes: Any) -> Request:
    """The only request of a point of one user."""
    few = {"requests_per_user": 1, "warmup_requests_per_user": 0}
    point = run_point(endpoint, [prompt()], 1, load(**(few | changes)), lambda _: None)
    return point.requests[0]


def running_workers() -> list[psutil.Process]:
    """Those of the load generator that run; other tests' children, and ended ones, are not."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if "er.load.worker" in " ".join(child.cmdline()):
                found.append(child)
    return found
