"""Policies of a gateway that is a process of its own: limits, time limits, breaker, headers."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from er.config import Policy
from tests.unit.gateway.conftest import HOST, event
from tests.unit.gateway.raw import END, HEAD, RawExpert, chunk, post, say, status
from tests.unit.gateway.test_expert_processes import metric
from tests.unit.gateway.test_processes import running
from tests.unit.gateway.test_tokens import word_tokenizer

TOTAL_S, CONNECT_S = 1.5, 0.1  # apart by more than a look that is late
ONE = HEAD + chunk(event("one")) + END


def prompt(word: str, *headers: str) -> bytes:
    return post(json.dumps({"text_input": word}).encode(), *headers)


@contextmanager
def nobody_accepts() -> Iterator[str]:
    """The address of an expert to which no connection comes about: its queue is full."""
    with socket.create_server((HOST, 0), backlog=0) as server:
        address = server.getsockname()[:2]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        yield f"http://{HOST}:{address[1]}/generate_stream"
        for each in waiting:
            each.close()


async def answer_by_prompt(expert: RawExpert, writer: asyncio.StreamWriter) -> bool:
    """Fails, holds on, or hangs up as the prompt says."""
    head, _, body = expert.received[-1].partition(b"\r\n\r\n")
    word: str = json.loads(body)["text_input"]
    if word in ("400", "500"):
        writer.write(f"HTTP/1.1 {word} No\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n".encode())
    elif word == "endless":
        while True:
            writer.write((HEAD if head else b"") + chunk(event("one")))
            head = b""
            await writer.drain()
            await asyncio.sleep(0.1)
    else:
        writer.write(ONE)
    return word != "hang up afterwards"


async def test_what_a_process_refuses_ends_and_passes_on(tmp_path: Path) -> None:
    expert = RawExpert(lambda writer: answer_by_prompt(expert, writer))
    limits = {
        "body_bytes": 2000, "header_bytes": 2000,
        "prompt_tokens": 9, "tokenizer": str(word_tokenizer(tmp_path)),
    }  # fmt: skip
    changes: dict[str, Any] = {
        "limits": limits, "timeouts": {"total_s": TOTAL_S, "connect_s": CONNECT_S}, "retries": 0,
        "breaker_failures": 2, "breaker_open_s": 0.1, "in_flight_at_most": 1, "queue_at_most": 0,
    }  # fmt: skip
    async with expert.serving() as url:
        with (
            nobody_accepts() as silent,
            running(tmp_path, [url, silent], Policy.least_loaded, **changes) as (port, _),
        ):
            too_large = (prompt("x" * 2000), prompt("court", "a: " + "b" * 2000), prompt("a " * 10))
            assert [status(await say(port, each)) for each in too_large] == [413, 431, 413]
            assert not expert.received
            # Both ways, headers that are not of one hop only.
            passed = await say(port, prompt("400", "traceparent: 00-1-2-01", "te: trailers"))
            assert (status(passed), b"retry-after: 7\r\n" in passed) == (400, True)
            assert b"traceparent: 00-1-2-01\r\n" in expert.received[-1]
            assert b"trailers" not in expert.received[-1]
            # A kept connection that the expert has just closed.
            for _ in range(10):
                assert status(await say(port, prompt("hang up afterwards"))) == 200
            # A limit for the whole answer, and one for the connection.
            begun_s = time.monotonic()
            endless = asyncio.ensure_future(say(port, prompt("endless")))
            await asyncio.sleep(0.05)
            unconnected = await say(port, prompt("court"))  # the other expert's
            took_s = time.monotonic() - begun_s
            assert (status(unconnected), took_s >= CONNECT_S) == (504, True)
            assert b"cannot be reached in time" in unconnected
            assert b"took longer than 1.5 s" in await endless
            assert time.monotonic() - begun_s >= TOTAL_S
            # The breaker: 4xx are a client's fault, 5xx are not.
            usable = 'er_gateway_usable{expert="0"'
            for _ in range(3):
                assert status(await say(port, prompt("400"))) == 400
            assert await metric(port, usable) == 1
            for _ in range(2):
                assert status(await say(port, prompt("500"))) == 500
            assert await metric(port, usable) == 0
            for _ in range(200):
                if await metric(port, usable) == 1:
                    break
                await asyncio.sleep(0.05)
            assert status(await say(port, prompt("court"))) == 200
