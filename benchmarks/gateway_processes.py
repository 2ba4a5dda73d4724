"""What a second process of the gateway gives and costs, and whether both see the same loads.

    python -m benchmarks.gateway_processes [--rounds 3] [--cache-dir .cache]

Two processes with a fifth of a core each (by control groups, which takes root) before one: what
they share would show as less than twice the requests/s, and users and backend, in C on core 1,
have room. Without quotas: one process on core 0, two on core 0, two on both cores; with two
cores users and backend have none of their own, so there CPU per request counts. Then 400 streams of
a backend in Python before `least_loaded` over 8 experts: how far apart the requests in flight come.
The last line is JSON.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
from asyncio import StreamWriter as Writer
from collections import defaultdict
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks import cpu_quota, gateway, gateway_peers, load_server
from benchmarks.gateway_experts import END, HEAD, TOKEN, Expert, fetch
from er.config import Policy

SHARE = 0.2  # of a core
REACH = 1.8


class Shape(NamedTuple):
    """How a gateway runs."""

    name: str  # of the gateway
    cores: str
    share: float = 0.0  # of a core, for each process; 0: no limit


ONE, TWO = "1 process, 0.2 of a core", "2 processes, 0.2 of a core each"
SHAPES = {
    ONE: Shape("er", "0", SHARE),
    TWO: Shape("er:fastx2", "0", SHARE),
    "1 process, core 0": Shape("er", "0"),
    "2 processes, core 0": Shape("er:fastx2", "0"),
    "2 processes, cores 0 and 1": Shape("er:fastx2", "0,1"),
}
USERS, REQUESTS_EACH = 100, 200
STREAMS, EXPERTS = 400, 8


def main() -> None:
    """Measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache-dir", type=Path, default=Path(".cache"))
    options = parser.parse_args()
    psutil.Process().cpu_affinity([1])
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            for shape in SHAPES:
                try:
                    found[shape].append(requests(shape, Path(folder), options.cache_dir))
                except LookupError as error:
                    print(f"{shape} is left out: {error}", flush=True)
        apart = {n: asyncio.run(loads_apart(n, Path(folder))) for n in (1, 2)}
    summary = {}
    for shape, rounds in found.items():
        rate, cpu_us = (statistics.median(values) for values in zip(*rounds, strict=True))
        summary[shape] = {"requests_per_s": rate, "cpu_us_per_request": cpu_us}
        print(f"{shape:32} {rate:7.0f} requests/s, {cpu_us:5.1f} us CPU a request")
    for processes, worst in apart.items():
        print(f"least_loaded, {processes} processes: in flight at most {worst:.0f} apart")
    figures = {}
    if found[ONE] and found[TWO]:
        gain = statistics.median(
            two / one for (one, _), (two, _) in zip(found[ONE], found[TWO], strict=True)
        )
        met = "met" if gain >= REACH else "NOT MET"
        print(f"two processes of 0.2 of a core: {gain:.2f} times one, reach {REACH}: {met}")
        figures["two_processes"] = {"value": gain, "reach": REACH, "met": gain >= REACH}
    print(
        json.dumps(
            {"benchmark": "gateway_processes", "figures": figures, "measured": summary,
             "apart": apart}
        )
    )  # fmt: skip


def requests(shape: str, folder: Path, cache_dir: Path) -> tuple[float, float]:
    """Requests/s, and the gateway's CPU us a request. Raises LookupError."""
    name, cores, share = SHAPES[shape]
    with (
        load_server.serving(folder, 0.0, gateway.ITL_S) as server,
        gateway_peers.running(
            name, folder, cache_dir, server.origin.removeprefix("http://"), cores
        ) as own,
    ):
        psutil.Process(server.process.pid).cpu_affinity([1])
        workers = [member.pid for member in own.process.children()] or [own.process.pid]
        gateway.ask(folder, own, USERS, 20)
        with cpu_quota.quotas(workers, share) if share else nullcontext():
            before_s = own.cpu_s()
            reported = gateway.ask(folder, own, USERS, REQUESTS_EACH)
            used_s = own.cpu_s() - before_s
    return reported["requests_per_s"], used_s / (USERS * REQUESTS_EACH) * 1e6


async def loads_apart(processes: int, folder: Path) -> float:
    """The largest difference between experts' requests in flight, while all streams run."""
    in_flight = [0] * EXPERTS

    def answering(number: int) -> Expert:
        async def answer(writer: Writer, _body: bytes) -> None:
            in_flight[number] += 1
            try:
                writer.write(HEAD)
                for _ in range(20):
                    writer.write(TOKEN)
                    await asyncio.sleep(0.1)
                writer.write(END)
            finally:
                in_flight[number] -= 1

        return Expert(answer)

    policy, worst = Policy.least_loaded, 0
    async with AsyncExitStack() as stack:
        urls = [
            await stack.enter_async_context(answering(number).serving())
            for number in range(EXPERTS)
        ]
        gateway_of = gateway_peers.alone(folder, urls, policy=policy, processes=processes)
        port, _ = await stack.enter_async_context(gateway_of)
        streams = [asyncio.ensure_future(fetch(port)) for _ in range(STREAMS)]
        while not all(stream.done() for stream in streams):
            await asyncio.sleep(0.05)
            if sum(in_flight) == STREAMS:
                worst = max(worst, max(in_flight) - min(in_flight))
        assert all(stream.result().complete for stream in streams)
    return worst


if __name__ == "__main__":
    main()
