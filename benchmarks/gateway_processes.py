"""What a second process of the gateway costs and gives, and whether both see the same loads.

    python -m benchmarks.gateway_processes [--rounds 3] [--cache-dir .cache]

One process on core 0, two on core 0, two on both cores; 100 users and the backend, in C, on core 1.
With two cores they share what there is, so requests/s grow less than they would with cores of
their own: CPU per request says what those would give. Then 400 streams of a backend in Python
before `least_loaded` over 8 experts: how far apart the requests in flight come. The last line is
JSON.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
from asyncio import StreamWriter as Writer
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path

import psutil

from benchmarks import gateway, gateway_peers, load_server
from benchmarks.gateway_experts import END, HEAD, TOKEN, Expert, fetch
from er.config import Policy

SHAPES = {"1 process, core 0": ("er", "0"), "2 processes, core 0": ("er:fastx2", "0"),
          "2 processes, cores 0 and 1": ("er:fastx2", "0,1")}  # fmt: skip
USERS, REQUESTS_EACH = 100, 300
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
                found[shape].append(requests(shape, Path(folder), options.cache_dir))
        apart = {n: asyncio.run(loads_apart(n, Path(folder))) for n in (1, 2)}
    summary = {}
    for shape, rounds in found.items():
        rate, cpu_us = (statistics.median(values) for values in zip(*rounds, strict=True))
        summary[shape] = {"requests_per_s": rate, "cpu_us_per_request": cpu_us}
        print(f"{shape:28} {rate:7.0f} requests/s, {cpu_us:5.1f} us CPU a request")
    for processes, worst in apart.items():
        print(f"least_loaded, {processes} processes: in flight at most {worst:.0f} apart")
    print(json.dumps({"benchmark": "gateway_processes", "measured": summary, "apart": apart}))


def requests(shape: str, folder: Path, cache_dir: Path) -> tuple[float, float]:
    """Requests/s, and the gateway's CPU us a request."""
    name, cores = SHAPES[shape]
    with (
        load_server.serving(folder, 0.0, gateway.ITL_S) as server,
        gateway_peers.running(
            name, folder, cache_dir, server.origin.removeprefix("http://"), cores
        ) as own,
    ):
        psutil.Process(server.process.pid).cpu_affinity([1])
        gateway.ask(folder, own, USERS, 20)
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
