"""How long prompts of megabytes hold up other streams, for each dialect of client and expert.

    python -m benchmarks.gateway_large [--cache-dir .cache]

Two figures for each kind of prompt. The gateway's longest turn (`benchmarks.gateway_turns`), in
time of its own thread: that is what the gateway is answerable for, also on a machine that is busy
with other work. And by how much the longest way of another stream's token through it grows, as that
stream's client sees it: that holds what the machine does too.

The stream and its client have core 1; the large prompt's client and expert are processes there of
a low priority. The gateway has core 0 and classifies every prompt. The last line is JSON.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from benchmarks.gateway_experts import Ticking
from benchmarks.gateway_peers import alone, free_port, listens, wait_for
from er.compose import plan
from er.routing import router as routers
from er.routing.cached import router_for

BYTES = 4 * 2**20 - 4096  # conf/gateway/fast.yaml takes 4 MB
REPEATS, TOKENS = 3, 50
REACH_S = 0.005
NICENESS = 10
PROGRAM = ("taskset", "-c", "1", sys.executable, "-m", "benchmarks.gateway_experts")
GENERATE, COMPLETIONS, CHAT = (
    "/v2/models/ensemble/generate_stream", "/v1/completions", "/v1/chat/completions",
)  # fmt: skip
TEXTS = {
    "plain": "flour and butter simmer ",
    "accents": "é 0 ",
    "escapes": "\\u00e9",
    "line ends": "0\\n",
}


@dataclass
class Pause:
    """What one kind of large prompt does to others, in seconds."""

    turn_s: float  # the gateway's longest turn, its thread's own time
    turn_by_the_clock_s: float  # with what others took of the core
    longest_relay_s: float  # of another stream's token, its client's view


def main() -> None:
    """Measure and print each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache-dir", type=Path, default=Path(".cache"))
    options = parser.parse_args()
    psutil.Process().cpu_affinity([1])
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(Path(folder), options.cache_dir))
    longest_s = max(pause.turn_s for pause in found.values())
    met = "met" if longest_s <= REACH_S else "NOT MET"
    print(f"longest turn {longest_s * 1e3:.2f} ms, reach {REACH_S * 1e3:g}: {met}")
    figure = {"value": longest_s, "reach": REACH_S, "met": longest_s <= REACH_S}
    pauses = {name: asdict(pause) for name, pause in found.items()}
    summary = {"benchmark": "gateway_large", "figures": {"turn_s": figure}, "measured": pauses}
    print(json.dumps(summary))


async def measure(folder: Path, cache_dir: Path) -> dict[str, Pause]:
    """For each dialect and text; `nothing` is without a large prompt."""
    [config] = plan(["deployment=e"])
    count = config.deployment.experts
    file = router_for(config.routing, config.corpus, count, config.seed, cache_dir)
    router = routers.load(file)
    apart = router.classify("court")  # the stream's expert; others get the large prompts
    assert all(router.classify(json.loads(f'"{unit}"')) != apart for unit in TEXTS.values())

    ticking, report = Ticking(TOKENS, 0.002), folder / "turns.json"
    found: dict[str, Pause] = {}
    for expert, upstream in (("triton", "v2/models/m/generate_stream"), ("openai", "v1")):
        with large_expert() as port:
            async with ticking.serving() as url:
                large = f"http://127.0.0.1:{port}/{upstream}"
                urls = [url if cluster == apart else large for cluster in range(count)]
                watch = ("benchmarks.gateway_turns", report)
                async with (
                    alone(folder, urls, str(file), watch=watch) as (gateway, process),
                    sending(gateway) as sender,
                ):
                    watched = Watched(ticking, gateway, process, report)
                    await ticking.longest_relay(gateway)
                    found[f"nothing, {expert}"] = await watched.beside(asyncio.sleep(1))
                    for name, path, body in bodies():
                        (folder / "large.json").write_bytes(body)
                        line = f"{path} {folder}/large.json\n".encode()
                        pause = await watched.beside(send(sender, line))
                        found[f"{name}, {path}, {expert}"] = pause
                        print(f"{name}, {path}, {expert}: {pause}", flush=True)
    return found


@dataclass
class Watched:
    """A gateway that reports its turns, with a stream through it."""

    ticking: Ticking
    port: int
    process: psutil.Process
    report: Path

    async def beside(self, work: Awaitable[None]) -> Pause:
        """What happens to the stream while this work is done."""
        await self._turns()
        self.ticking.may_end.clear()
        under_way = asyncio.ensure_future(self.ticking.longest_relay(self.port))
        try:
            await work
        finally:
            self.ticking.may_end.set()
        relay_s, turns = await under_way, await self._turns()
        return Pause(turns["thread_s"], turns["clock_s"], relay_s)

    async def _turns(self) -> dict[str, float]:
        """The longest since the last call."""
        self.report.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR2)
        await asyncio.to_thread(wait_for, self.report.exists, 20, "no turns are reported")
        found: dict[str, float] = json.loads(self.report.read_text())
        return found


async def send(sender: Process, line: bytes) -> None:
    """Some of these requests, one after the other."""
    assert sender.stdin
    assert sender.stdout
    for _ in range(REPEATS):
        sender.stdin.write(line)
        assert await sender.stdout.readline(), "a large prompt is refused"


@asynccontextmanager
async def sending(port: int) -> AsyncIterator[Process]:
    """A process that sends requests to a gateway."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "send", str(port), stdin=PIPE, stdout=PIPE
    )
    try:
        os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        yield process
    finally:
        process.kill()
        await process.wait()


def bodies() -> Iterator[tuple[str, str, bytes]]:
    """Text, path and body of each large prompt."""
    for name, unit in TEXTS.items():
        text = unit * (BYTES // len(unit.encode()) - 100)
        chat = f'[{{"role": "user", "content": "{text}"}}]'
        for path, field in ((GENERATE, "text_input"), (COMPLETIONS, "prompt"), (CHAT, "messages")):
            value = chat if field == "messages" else f'"{text}"'
            fields = f'{{"model": "er", "max_tokens": 1, "stream": true, "{field}": {value}}}'
            yield name, path, fields.encode()


@contextmanager
def large_expert() -> Iterator[int]:
    """The port of an expert that gets the large prompts."""
    port = free_port()
    with subprocess.Popen((*PROGRAM, "serve", str(port), "0")) as process:
        try:
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
            wait_for(lambda: listens(port), 30, "the expert does not listen")
            time.sleep(0.2)
            yield port
        finally:
            process.kill()


if __name__ == "__main__":
    main()
