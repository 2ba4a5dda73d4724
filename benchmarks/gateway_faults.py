"""What the gateway does when clients leave or stall, experts die and routers are read again."""

import asyncio
import signal
import statistics
import time
import urllib.request
from asyncio import StreamWriter as Writer
from functools import partial
from pathlib import Path

import psutil

from benchmarks.gateway_experts import (
    END,
    EVENT,
    HEAD,
    REQUEST,
    TOKEN,
    Expert,
    Reply,
    Ticking,
    fetch,
)
from benchmarks.gateway_peers import alone, free_port, wait_for
from er.compose import plan

REACH = {
    "disconnect_before_first_token_s": 0.010,
    "disconnect_in_stream_s": 0.010,
    "slow_client_growth_mb": 1.0,
    "killed_expert_without_an_ending": 0.0,
    "killed_expert_lost_before_first_byte": 0.0,
    "reload_failed_requests": 0.0,
    "reload_pause_s": 0.001,
}
STREAMS, TOKENS = 1000, 40
SLOW_BYTES = 43_000_000
RELOADS = 40


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


async def disconnect(folder: Path, *, first_token: bool) -> float:
    """Median time from a client's leaving to the expert's connection ending."""

    async def answer(writer: Writer, _body: bytes) -> None:
        if first_token:
            writer.write(HEAD + TOKEN)
        await asyncio.sleep(60)

    times_s = []
    expert = Expert(answer)
    async with expert.serving() as url, alone(folder, [url]) as (port, _):
        for _ in range(21):
            expert.received.clear()
            expert.left_s = 0.0
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(REQUEST)
            await expert.received.wait()
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

    async def answer(writer: Writer, _body: bytes) -> None:
        writer.write(HEAD)
        for _ in range(SLOW_BYTES // len(piece)):
            writer.write(piece)
            await writer.drain()
        writer.write(END)

    async with Expert(answer).serving() as url, alone(folder, [url]) as (port, process):
        for _ in range(3):  # buffers that any stream needs
            await fetch(port)
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

    async def answer(writer: Writer, _body: bytes) -> None:
        nonlocal begun
        begun += 1
        if begun % 4 == 0:  # a quarter waits for its first token
            await asyncio.sleep(4)
        writer.write(HEAD)
        await asyncio.sleep(0.02)  # so that clients get a head alone
        for _ in range(TOKENS):
            writer.write(TOKEN)
            await asyncio.sleep(0.1)
        writer.write(END)

    one, other = Expert(answer), Expert(answer)
    async with (
        one.serving() as url,
        other.serving() as other_url,
        alone(folder, [url, other_url]) as (port, _),
    ):
        streams = [asyncio.ensure_future(fetch(port)) for _ in range(STREAMS)]
        await asyncio.sleep(3)
        one.die()
        replies = await asyncio.gather(*streams)
    silent = sum(not (reply.complete and has_ending(reply)) for reply in replies)
    lost = sum(reply.status != 200 for reply in replies)
    return float(silent), float(lost)


def has_ending(reply: Reply) -> bool:
    """Whether all tokens have come, or an error that says why not."""
    return reply.content.count(EVENT) == TOKENS or b'"error"' in reply.content


async def reload(folder: Path, cache_dir: Path) -> tuple[float, float]:
    """Failed requests while the router is read again RELOADS times, and by how much the gateway's
    event loop is later at most than in as much time without (`benchmarks.gateway_beat`), in the
    median; all of them are printed, the first before what it needs has been used once."""
    from er.routing.cached import router_for

    [config] = plan(["deployment=e"])
    experts = config.deployment.experts
    router = str(router_for(config.routing, config.corpus, experts, config.seed, cache_dir))
    report, admin_port = folder / "beat", free_port()
    watch = ("benchmarks.gateway_beat", report)
    found_s: dict[str, list[float]] = {name: [] for name in ("with", "without", "relay")}
    ticking = Ticking(1, 0.005)
    async with (
        ticking.serving() as url,
        alone(folder, [url] * experts, router, watch=watch, admin_port=admin_port) as running,
    ):
        port, process = running
        latest = partial(asyncio.to_thread, lateness, process, report)
        for _ in range(RELOADS):
            ticking.may_end.clear()
            under_way = asyncio.ensure_future(ticking.longest_relay(port))
            await asyncio.sleep(0.1)
            await latest()
            began_s = time.perf_counter()
            await asyncio.to_thread(post, f"http://127.0.0.1:{admin_port}/admin/reload")
            took_s = time.perf_counter() - began_s
            found_s["with"].append(await latest())
            await asyncio.sleep(took_s)
            found_s["without"].append(await latest())
            ticking.may_end.set()
            found_s["relay"].append(await under_way)
    for name in ("without", "with"):
        each = " ".join(f"{late_s * 1e3:.2f}" for late_s in found_s[name])
        print(f"the event loop's longest lateness {name} a reload, ms, in order: {each}")
    pause_s = statistics.median(found_s["with"]) - statistics.median(found_s["without"])
    return float(found_s["relay"].count(float("inf"))), max(0.0, pause_s)


def lateness(process: psutil.Process, report: Path) -> float:
    """The longest of the gateway's event loop since the last call, in seconds."""
    report.unlink(missing_ok=True)
    process.send_signal(signal.SIGUSR2)
    wait_for(report.exists, 20, "no lateness is reported")
    return float(report.read_text())


def post(url: str) -> None:
    """Send a command without anything in it. Raises OSError where it is not carried out."""
    urllib.request.urlopen(url, b"{}", timeout=150).close()
