"""Streams for minutes while experts are killed and revived: does every request end, is memory flat?

    python -m benchmarks.gateway_soak [--minutes 10] [--concurrency 1000] [--processes 1]

Four experts in processes of their own, 20 tokens a request, 2 a second. Every 20 s one is killed
(SIGKILL), 10 s later it is back on its port. An answer is complete, an explicit error (an error
event, or a status), or a failure: silent, cut, or hanging for a minute. The last line is JSON.
"""

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
import uvloop

from benchmarks.gateway_experts import EVENT, Reply, fetch
from benchmarks.gateway_peers import alone, free_port

EXPERTS, TOKENS, INTERVAL_S = 4, 20, 0.5
PERIOD_S, DEAD_S = 20.0, 10.0
SETTLE_S = 60.0  # buffers and pools have their size then


def main() -> int:
    """Run; 1 when a request had no ending."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--concurrency", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = uvloop.run(
            soak(Path(folder), options.minutes * 60, options.concurrency, options.processes)
        )
    print(json.dumps({"benchmark": "gateway_soak"} | found))
    return int(bool(found["failures"]))


async def soak(
    folder: Path, duration_s: float, concurrency: int, processes: int
) -> dict[str, object]:
    """Endings by kind, and the gateway's memory and descriptors."""
    ports = [free_port() for _ in range(EXPERTS)]
    urls = [f"http://127.0.0.1:{port}/v2/models/m/generate_stream" for port in ports]
    running = [start_expert(port) for port in ports]
    endings: Counter[str] = Counter()
    samples: list[tuple[float, int]] = []  # MB, descriptors
    try:
        await asyncio.sleep(2)
        async with alone(folder, urls, processes=processes) as (port, process):
            end_s = time.monotonic() + duration_s
            users = [
                asyncio.ensure_future(send_until(end_s, port, endings)) for _ in range(concurrency)
            ]
            watching = asyncio.ensure_future(watch(process, samples, endings))
            killing = asyncio.ensure_future(kill_and_revive(running, ports))
            await asyncio.gather(*users)
            for task in (watching, killing):
                task.cancel()
            await asyncio.gather(watching, killing, return_exceptions=True)
    finally:
        for expert in running:
            expert.kill()
            expert.wait()
    settled = samples[int(min(SETTLE_S, duration_s / 2)) :]
    return {
        "minutes": duration_s / 60,
        "concurrency": concurrency,
        "processes": processes,
        "endings": dict(endings),
        "failures": sum(endings[kind] for kind in ("silent", "no answer")),
        "memory_mb": [settled[0][0], max(mb for mb, _ in settled), settled[-1][0]],
        "descriptors": [settled[0][1], max(count for _, count in settled), settled[-1][1]],
    }


async def send_until(end_s: float, port: int, endings: Counter[str]) -> None:
    """One user: the next request when the last one has ended."""
    while time.monotonic() < end_s:
        ending = kind_of(await fetch(port))
        endings[ending] += 1
        if ending != "complete":
            await asyncio.sleep(0.5)  # as a client that was refused would


def kind_of(reply: Reply) -> str:
    """How an answer has ended."""
    if not reply.status:
        return "no answer"
    if not reply.complete:
        return "silent"
    if reply.status != 200:
        return f"status {reply.status}"
    if b'"error"' in reply.content:
        return "error event"
    return "complete" if reply.content.count(EVENT) == TOKENS else "silent"


async def watch(
    process: psutil.Process, samples: list[tuple[float, int]], endings: Counter[str]
) -> None:
    """Memory and descriptors of all the gateway's processes, each second."""
    while True:
        family = [process, *process.children(recursive=True)]
        memory_mb = round(sum(member.memory_info().rss for member in family) / 1e6, 1)
        samples.append((memory_mb, sum(member.num_fds() for member in family)))
        if len(samples) % 30 == 0:
            print(f"{len(samples)} s: {samples[-1]}, {dict(endings)}", flush=True)
        await asyncio.sleep(1)


async def kill_and_revive(running: list["subprocess.Popen[bytes]"], ports: list[int]) -> None:
    """One expert after the other."""
    number = 0
    while True:
        await asyncio.sleep(PERIOD_S - DEAD_S)
        running[number].send_signal(signal.SIGKILL)
        running[number].wait()
        await asyncio.sleep(DEAD_S)
        running[number] = start_expert(ports[number])
        number = (number + 1) % EXPERTS


def start_expert(port: int) -> "subprocess.Popen[bytes]":
    """A process that answers on this port, on the second core."""
    program = ("taskset", "-c", "1", sys.executable, "-m", "benchmarks.gateway_experts", "serve")
    return subprocess.Popen((*program, str(port), str(INTERVAL_S)))


if __name__ == "__main__":
    sys.exit(main())
