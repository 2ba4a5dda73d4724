"""How long a prompt of megabytes holds up another stream, for each dialect of client and expert.

    python -m benchmarks.gateway_large [--cache-dir .cache]

Stream and measurement have core 1; the large prompt's client and expert are processes there of
the lowest priority. The gateway has core 0 and classifies every prompt.
The last line is JSON.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.gateway_experts import Ticking
from benchmarks.gateway_peers import alone, free_port, listens, wait_for
from er.compose import plan
from er.routing import router as routers
from er.routing.cached import router_for

BYTES = 4 * 2**20 - 4096  # conf/gateway/fast.yaml takes 4 MB
REPEATS, TOKENS = 3, 200
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


def main() -> None:
    """Measure and print each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache-dir", type=Path, default=Path(".cache"))
    options = parser.parse_args()
    psutil.Process().cpu_affinity([1])
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(Path(folder), options.cache_dir))
    print(json.dumps({"benchmark": "gateway_large", "pause_s": found}))


async def measure(folder: Path, cache_dir: Path) -> dict[str, float]:
    """For each dialect and text a token's longest way, median, less that without a large prompt."""
    [config] = plan(["deployment=e"])
    count = config.deployment.experts
    file = router_for(config.routing, config.corpus, count, config.seed, cache_dir)
    router = routers.load(file)
    apart = router.classify("court")  # the stream's expert; others get the large prompts
    assert all(router.classify(json.loads(f'"{unit}"')) != apart for unit in TEXTS.values())

    ticking = Ticking(TOKENS, 0.002)
    found: dict[str, float] = {}
    for upstream in ("v2/models/m/generate_stream", "v1"):
        with large_expert() as port:
            async with ticking.serving() as url:
                large = f"http://127.0.0.1:{port}/{upstream}"
                urls = [url if cluster == apart else large for cluster in range(count)]
                async with alone(folder, urls, str(file)) as (gateway, _):
                    await ticking.longest_relay(gateway)
                    quiet_s = [await ticking.longest_relay(gateway) for _ in range(REPEATS)]
                    for name, path, body in bodies():
                        pauses_s = await with_large_prompts(folder, ticking, gateway, path, body)
                        pause_s = statistics.median(pauses_s) - statistics.median(quiet_s)
                        expert = "openai" if upstream == "v1" else "triton"
                        found[f"{name}, {path}, {expert}"] = max(0.0, pause_s)
                        print(f"{name}, {path}, {expert}: {pause_s * 1e3:.2f} ms", flush=True)
    return found


def bodies() -> Iterator[tuple[str, str, bytes]]:
    """Text, path and body of each large prompt."""
    for name, unit in TEXTS.items():
        text = unit * (BYTES // len(unit.encode()) - 100)
        chat = f'[{{"role": "user", "content": "{text}"}}]'
        for path, field in ((GENERATE, "text_input"), (COMPLETIONS, "prompt"), (CHAT, "messages")):
            value = chat if field == "messages" else f'"{text}"'
            fields = f'{{"model": "er", "max_tokens": 1, "stream": true, "{field}": {value}}}'
            yield name, path, fields.encode()


async def with_large_prompts(
    folder: Path, ticking: Ticking, port: int, path: str, body: bytes
) -> list[float]:
    """The longest way of a token in each stream beside which one such prompt was answered."""
    file = folder / "large.json"
    file.write_bytes(body)
    command = (*PROGRAM, "send", str(port), path, str(file))
    longest_s = []
    for _ in range(REPEATS):
        ticking.may_end.clear()
        under_way = asyncio.ensure_future(ticking.longest_relay(port))
        sender = await asyncio.create_subprocess_exec(*command)
        os.setpriority(os.PRIO_PROCESS, sender.pid, 19)
        assert await sender.wait() == 0
        ticking.may_end.set()
        longest_s.append(await under_way)
    return longest_s


@contextmanager
def large_expert() -> Iterator[int]:
    """The port of an expert that gets the large prompts."""
    port = free_port()
    with subprocess.Popen((*PROGRAM, "serve", str(port), "0")) as process:
        try:
            os.setpriority(os.PRIO_PROCESS, process.pid, 19)
            wait_for(lambda: listens(port), 30, "the expert does not listen")
            time.sleep(0.2)
            yield port
        finally:
            process.kill()


if __name__ == "__main__":
    main()
