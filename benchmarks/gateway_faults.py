"""What the gateway does when clients leave or stall, experts die and routers are read again."""

import asyncio
import json
import os
import signal
import sys
import time
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil

from benchmarks.gateway_peers import free_port, wait_for
from er.compose import plan
from er.config import FastGateway, Policy
from er.gateway.plan import Plan

REACH = {
    "disconnect_before_first_token_s": 0.010,
    "disconnect_in_stream_s": 0.010,
    "slow_client_growth_mb": 1.0,
    "killed_expert_without_an_ending": 0.0,
    "killed_expert_lost_before_first_byte": 0.0,
    "reload_failed_requests": 0.0,
    "reload_pause_s": 0.001,
}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"text_output":"word "}\n\n'
TOKEN = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
END = b"0\r\n\r\n"
BODY = json.dumps({"text_input": "court", "max_tokens": 1, "stream": True}).encode()
REQUEST = (
    b"POST /v2/models/ensemble/generate_stream HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n%b"
    % (len(BODY), BODY)
)
STREAMS = 1000
SLOW_BYTES = 43_000_000

Answer = Callable[[Writer], Awaitable[None]]


def measure(folder: Path, cache_dir: Path) -> dict[str, float]:
    """Every figure of REACH."""
    return asyncio.run(_measure(folder, cache_dir))


async def _measure(folder: Path, cache_dir: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    found["disconnect_before_first_token_s"] = await disconnect(folder, first_token=False)
    found["disconnect_in_stream_s"] = await disconnect(folder, first_token=True)
    found["slow_client_growth_mb"] = await slow_client(folder)
    silent, lost = await killed_expert(folder)
    found["killed_expert_without_an_ending"] = silent
    found["killed_expert_lost_before_first_byte"] = lost
    failed, pause_s = await reload(folder, cache_dir)
    found["reload_failed_requests"], found["reload_pause_s"] = failed, pause_s
    return found


class Expert:
    """A backend in this process; `left_s` is when a connection to it ended last."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.left_s = 0.0
        self.asked = asyncio.Event()
        self.writers: set[Writer] = set()

    async def _serve(self, reader: Reader, writer: Writer) -> None:
        self.writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                self.asked.set()
                working = asyncio.ensure_future(self._answer(writer))
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
    async def serving(self) -> AsyncIterator[str]:
        """Its address."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096)
        self.server = server
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/v2/models/m/generate_stream"
        server.close()
        for writer in list(self.writers):
            writer.transport.abort()


@asynccontextmanager
async def gateway(
    folder: Path, urls: list[str], router: str = ""
) -> AsyncIterator[tuple[int, psutil.Process]]:
    """The gateway's port and process."""
    [config] = plan(["gateway=fast"])
    assert isinstance(config.gateway, FastGateway)
    policy = Policy.kmeans if router else Policy.round_robin
    told = Plan(
        replace(config.gateway, port=free_port(), coalesce_s=0.0, retries=2),
        [[url] for url in urls],
        policy,
        router,
    )
    file = folder / "faults.json"
    told.write(file)
    port_file = folder / "faults.port"
    port_file.unlink(missing_ok=True)
    told.port_file = str(port_file)
    told.write(file)
    command = ("taskset", "-c", "0", sys.executable, "-m", "er.gateway.process", str(file))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    try:
        await asyncio.to_thread(wait_for, port_file.exists, 60, "er does not start")
        yield told.gateway.port, psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()


async def disconnect(folder: Path, *, first_token: bool) -> float:
    """Median time from a client's leaving to the expert's connection ending."""

    async def answer(writer: Writer) -> None:
        if first_token:
            writer.write(HEAD + TOKEN)
        await asyncio.sleep(60)

    times_s = []
    expert = Expert(answer)
    async with expert.serving() as url, gateway(folder, [url]) as (port, _):
        for _ in range(21):
            expert.asked.clear()
            expert.left_s = 0.0
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(REQUEST)
            await expert.asked.wait()
            if first_token:
                await reader.readuntil(EVENT)
            left_s = time.perf_counter()
            writer.transport.abort()
            while not expert.left_s:  # noqa: ASYNC110 (as soon as possible)
                await asyncio.sleep(0)
            times_s.append(expert.left_s - left_s)
    return sorted(times_s)[len(times_s) // 2]


async def slow_client(folder: Path) -> float:
    """Growth of the gateway's memory while a client of a long stream does not read."""
    large = b"data: " + b"x" * 65520 + b"\n\n"
    piece = b"%x\r\n%b\r\n" % (len(large), large)

    async def answer(writer: Writer) -> None:
        writer.write(HEAD)
        for _ in range(SLOW_BYTES // len(piece)):
            writer.write(piece)
            await writer.drain()
        writer.write(END)

    async with Expert(answer).serving() as url, gateway(folder, [url]) as (port, process):
        for _ in range(3):  # buffers that any stream needs
            await _whole(port)
        before = process.memory_info().rss
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(REQUEST)
        await asyncio.sleep(3)
        growth = process.memory_info().rss - before
        writer.transport.abort()
        del reader
    return growth / 1e6


async def killed_expert(folder: Path) -> tuple[float, float]:
    """Of 1,000 streams before two experts of which one dies: those without an ending, and those
    that got an error although the expert had not answered them yet."""
    begun = 0

    async def answer(writer: Writer) -> None:
        nonlocal begun
        begun += 1
        if begun % 4 == 0:  # a quarter waits for its first token
            await asyncio.sleep(4)
        writer.write(HEAD)
        for _ in range(40):
            writer.write(TOKEN)
            await asyncio.sleep(0.1)
        writer.write(END)

    one, other = Expert(answer), Expert(answer)
    async with (
        one.serving() as url,
        other.serving() as other_url,
        gateway(folder, [url, other_url]) as (port, _),
    ):
        streams = [asyncio.ensure_future(_whole(port)) for _ in range(STREAMS)]
        await asyncio.sleep(3)
        one.server.close()
        for writer in list(one.writers):
            writer.transport.abort()
        done = await asyncio.gather(*streams)
    silent = sum(not (answer.endswith(END) and _told(answer)) for answer in done)
    lost = sum(b" 200 " not in answer.partition(b"\r\n")[0] for answer in done)
    return float(silent), float(lost)


def _told(answer: bytes) -> bool:
    return answer.count(EVENT) == 40 or b'"error"' in answer


async def _whole(port: int) -> bytes:
    """An answer to its end; what came of it where there is none within 60 s."""
    got = b""
    try:
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(REQUEST)
            while not got.endswith(END) and (piece := await reader.read(262144)):
                got = (got + piece)[-300_000:] if len(got) < 500_000 else got[-1000:] + piece
            writer.close()
    except (OSError, TimeoutError):
        pass
    return got


async def reload(folder: Path, cache_dir: Path) -> tuple[float, float]:
    """Failed requests while the router is read again five times, and by how much the longest gap
    between tokens grows over that of as long a time without."""
    from er.routing.cached import router_for

    [config] = plan(["deployment=e"])
    experts = config.deployment.experts
    router = str(router_for(config.routing, config.corpus, experts, config.seed, cache_dir))

    async def answer(writer: Writer) -> None:
        writer.write(HEAD)
        for _ in range(400):
            writer.write(TOKEN)
            await asyncio.sleep(0.005)
        writer.write(END)

    failed = 0

    async def gaps(port: int) -> float:
        nonlocal failed
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        at_s, longest_s, last = time.perf_counter(), 0.0, b""
        await reader.readuntil(EVENT)
        at_s = time.perf_counter()
        while not last.endswith(END):
            last = await reader.read(65536)
            now_s = time.perf_counter()
            longest_s, at_s = max(longest_s, now_s - at_s), now_s
            if not last:
                failed += 1
                break
        writer.close()
        return longest_s

    async with (
        Expert(answer).serving() as url,
        gateway(folder, [url] * experts, router) as (
            port,
            process,
        ),
    ):
        await gaps(port)
        quiet_s, reloading_s = [], []
        for _ in range(5):
            quiet_s.append(await gaps(port))
            under_way = asyncio.ensure_future(gaps(port))
            await asyncio.sleep(0.5)
            os.kill(process.pid, signal.SIGHUP)
            reloading_s.append(await under_way)
    pause_s = sorted(reloading_s)[2] - sorted(quiet_s)[2]
    return float(failed), max(0.0, pause_s)
