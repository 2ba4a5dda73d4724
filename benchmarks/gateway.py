"""The gateway beside others, and against what it is to reach, in one run.

    python -m benchmarks.gateway [--gateways er er:aiohttp nginx vllm-router ...] [--rounds 3]

Backend and users are written in C and share core 1; each gateway has core 0. Rounds alternate
between the gateways, medians are printed: absolute figures drift with the machine, ratios less.
The medians are printed as docs/gateway.md has them. The last line is JSON.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks import gateway_client, gateway_faults, gateway_peers, load_server
from benchmarks.gateway_client import Users
from benchmarks.gateway_peers import Running

GATEWAYS = [
    "direct", "er", "er:aiohttp", "nginx", "haproxy", "vllm-router", "smg", "traefik",
]  # fmt: skip
PROMPT_BYTES = 1350  # about 300 tokens
PROMPT = (
    "The court held that the plaintiff may recover under the contract if butter simmers. " * 20
)[:PROMPT_BYTES]
OTHER_CORE = ("taskset", "-c", "1")
STREAM_TOKENS = 50
ITL_S = (0.05, 0.15)  # 10 tokens a second
WINDOW_S = (1.5, 4.0)  # after the start of the streams: all are under way
STREAMS = (100, 1000)
CROWDS = 5  # a round has so many, of half a second each: one alone is the luck of that moment

Result = dict[str, float]


def main() -> None:
    """Measure, print tables, then the figures to reach as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gateways", nargs="+", default=GATEWAYS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache-dir", type=Path, default=Path(".cache"))
    options = parser.parse_args()
    psutil.Process().cpu_affinity([1])
    rounds: dict[str, list[Result]] = {name: [] for name in options.gateways}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o777)  # nginx gives up its rights
        for number in range(options.rounds):
            for name in options.gateways:
                try:
                    rounds[name].append(measure(name, folder, options.cache_dir))
                    print(f"round {number + 1}: {row(name, rounds[name][-1])}", flush=True)
                except LookupError as error:
                    print(f"round {number + 1}: {name} is left out: {error}", flush=True)
        faults = gateway_faults.measure(folder, options.cache_dir)
    medians = {
        name: {key: statistics.median(found[key] for found in results) for key in results[0]}
        for name, results in rounds.items()
        if results
    }
    print(f"\nmedians of {options.rounds} rounds")
    print(table(medians))
    found = figures(medians, faults)
    print("\n| figure | value | to reach | |\n|---|---|---|---|")
    for name, figure in found.items():
        met = "reached" if figure["met"] else "**missed**"
        print(f"| {name} | {figure['value']:.4g} | {figure['reach']:.4g} | {met} |")
    machine = (
        f"{psutil.cpu_count()} cores, {platform.release()}, Python {platform.python_version()}"
    )
    summary = {"benchmark": "gateway", "figures": found, "machine": machine, "measured": rounds}
    print(json.dumps(summary))


def measure(name: str, folder: Path, cache_dir: Path) -> Result:
    """One round of one gateway. Raises LookupError where it is not to be had."""
    result: Result = {}
    with (
        load_server.serving(folder, 0.0, ITL_S) as server,
        gateway_peers.running(
            name, folder, cache_dir, server.origin.removeprefix("http://")
        ) as own,
    ):
        psutil.Process(server.process.pid).cpu_affinity([1])
        result["memory_rest_mb"] = own.memory_mb()
        ask(folder, own, 10, 20)
        alone = ask(folder, own, 1, 2000)
        result["ttft_p50_us"], result["ttft_p99_us"] = alone["ttft_p50_us"], alone["ttft_p99_us"]
        crowds = [crowd(folder, own) for _ in range(CROWDS)]
        for key in crowds[0]:
            result[key] = statistics.median(found[key] for found in crowds)
        for streams in STREAMS:
            reported, cpu_us, memory_mb = stream(folder, own, streams)
            result[f"cpu_us_per_token_{streams}"] = cpu_us
            result[f"failed_{streams}"] = reported["failed"]
            result[f"tokens_per_s_{streams}"] = reported["events_per_s"]
        result["first_all_s"] = reported["first_all_s"]
        result["kb_per_stream"] = (memory_mb - result["memory_rest_mb"]) * 1000 / STREAMS[-1]
    return result


def body(own: Running, tokens: int) -> dict[str, Any]:
    """What a user sends."""
    openai = own.path.startswith("/v1")
    prompt = {"prompt": PROMPT, "model": own.model} if openai else {"text_input": PROMPT}
    return prompt | {"max_tokens": tokens, "stream": True}


def crowd(folder: Path, own: Running) -> Result:
    """What 100 users get who ask for one token, again and again."""
    before_s = own.cpu_s()
    reported = ask(folder, own, 100, 100)
    cpu_us = (own.cpu_s() - before_s) / 10_000 * 1e6
    return {"requests_per_s": reported["requests_per_s"], "cpu_us_per_request": cpu_us}


def ask(folder: Path, own: Running, connections: int, each: int) -> dict[str, Any]:
    """Requests for one token, as fast as they are answered."""
    users = Users(connections, each, body(own, 1))
    return gateway_client.result(
        gateway_client.start(folder, OTHER_CORE, own.port, own.path, users)
    )


def stream(folder: Path, own: Running, streams: int) -> tuple[dict[str, Any], float, float]:
    """Streams that begin together: what users report, CPU us per token, memory while they run."""
    users = Users(streams, 1, body(own, STREAM_TOKENS), WINDOW_S)
    process = gateway_client.start(folder, OTHER_CORE, own.port, own.path, users)
    begin_s, end_s = WINDOW_S
    time.sleep(begin_s)
    before_s = own.cpu_s()
    time.sleep(end_s - begin_s)
    used_s = own.cpu_s() - before_s
    memory_mb = own.memory_mb()
    reported = gateway_client.result(process)
    return reported, used_s / max(1, reported["window_events"]) * 1e6, memory_mb


def row(name: str, result: Result) -> str:
    """One line of the table."""
    tokens = "/".join(f"{result[f'cpu_us_per_token_{streams}']:.1f}" for streams in STREAMS)
    return (
        f"{name:12} TTFT {result['ttft_p50_us']:.0f}/{result['ttft_p99_us']:.0f} us, "
        f"{result['requests_per_s']:.0f} requests/s ({result['cpu_us_per_request']:.0f} us), "
        f"{tokens} us a token, first tokens {result['first_all_s']:.3f} s, "
        f"{result['memory_rest_mb']:.0f} MB, {result['kb_per_stream']:.0f} KB a stream, "
        f"failed {result['failed_1000']:.0f}"
    )


def table(medians: dict[str, Result]) -> str:
    """The medians as docs/gateway.md has them."""
    heads = (
        "gateway", "TTFT at 1 user, p50 / p99 us", "requests/s, 100 users", "CPU us a request",
        "CPU us a relayed token, 100 / 1,000 streams of 10 tokens/s",
        "first tokens of 1,000 streams that begin together, s", "memory MB", "KB a stream",
    )  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, result in medians.items():
        own = "" if name == "direct" else "{:.0f}"  # of which CPU and memory are the benchmark's
        tokens = " / ".join(f"{result[f'cpu_us_per_token_{streams}']:.0f}" for streams in STREAMS)
        cells = (
            name,
            f"{result['ttft_p50_us']:.0f} / {result['ttft_p99_us']:.0f}",
            f"{result['requests_per_s']:,.0f}",
            own.format(result["cpu_us_per_request"]),
            tokens if own else "",
            f"{result['first_all_s']:.3f}",
            own.format(result["memory_rest_mb"]),
            own.format(result["kb_per_stream"]),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def figures(medians: dict[str, Result], faults: Result) -> dict[str, dict[str, Any]]:
    """The figures to reach, each with the others' of the same run."""
    own, direct = medians["er"], medians.get("direct", {})
    peer = medians.get("vllm-router", {})
    found = {}

    def add(
        name: str, key: str, reach: float, *, less: float = 0.0, at_least: bool = False
    ) -> None:
        value = own[key] - less
        references = {
            other: result[key] - less for other, result in medians.items() if other != "er"
        }
        met = value >= reach if at_least else value <= reach
        found[name] = {"value": value, "reach": reach, "met": met, "references": references}

    if direct and peer:
        for share in ("p50", "p99"):
            key, alone = f"ttft_{share}_us", direct[f"ttft_{share}_us"]
            add(f"ttft_added_{share}_us", key, peer[key] - alone, less=alone)
        add("requests_per_s", "requests_per_s", 2 * peer["requests_per_s"], at_least=True)
        for streams in STREAMS:
            key = f"cpu_us_per_token_{streams}"
            add(key, key, peer[key])
        key = "cpu_us_per_token_1000"
        add("cpu_us_per_token_coalesced", key, 0.75 * peer[key])
        add("first_all_after_backend_s", "first_all_s", 0.2, less=direct["first_all_s"])
    if nginx := medians.get("nginx"):
        half = nginx["requests_per_s"] / 2
        add("requests_per_s_half_of_nginx", "requests_per_s", half, at_least=True)
    add("memory_rest_mb", "memory_rest_mb", 120)
    add("kb_per_stream", "kb_per_stream", 8)
    for name, reach in gateway_faults.REACH.items():
        value = faults[name]
        found[name] = {"value": value, "reach": reach, "met": value <= reach, "references": {}}
    return found


if __name__ == "__main__":
    main()
