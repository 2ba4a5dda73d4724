"""The load generator against the truth, beside its peers.

    python -m benchmarks.load [--peers aiperf vllm guidellm]

A server in C streams with known latencies; each client reports what it saw. `--peers` measures
others beside it, each installed into an environment of its own under the cache: aiperf (1.2 GB),
vLLM's bench client and guidellm (6 GB). The last line is JSON.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import load_aiperf, load_guidellm, load_server, load_vllm

TTFT_S = 0.2
ITL_S = (0.02, 0.04)


@dataclass(frozen=True)
class Case:
    """One client at one concurrency."""

    client: str
    concurrency: int
    requests_per_user: int = 3
    tokens: int = 64
    workers: int = 1
    ttft_s: float = TTFT_S
    itl_s: tuple[float, float] = ITL_S


CASES = [
    Case("sockets", 100),
    Case("aiohttp", 100),
    Case("sockets", 1000),
    Case("aiohttp", 1000),
    Case("sockets", 10_000, 1, 16, workers=2, itl_s=(0.2, 0.4)),
    Case("sockets", 50, 40, 1000, ttft_s=0, itl_s=(0, 0)),
]


PEERS = {"aiperf": load_aiperf, "vllm": load_vllm, "guidellm": load_guidellm}


def main() -> None:
    """Run every case; print a table, then the figures to reach as JSON."""
    parser = argparse.ArgumentParser(description="the load generator against the truth")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=[], help="measure them too")
    parser.add_argument("--cache-dir", type=Path, default=Path(".cache"))
    arguments = parser.parse_args()
    cases = list(CASES)
    for peer in arguments.peers:
        cases += [Case(peer, concurrency) for concurrency in (100, 1000)]
        PEERS[peer].install(arguments.cache_dir)
    print(HEADING)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            results[case] = measure(case, Path(folder), arguments.cache_dir)
            print(row(case, results[case]), flush=True)
    found = figures(results)
    for name, figure in found.items():
        met = "met" if figure["met"] else "NOT MET"
        print(f"{name:28} {figure['value']:12.4g}  reach {figure['reach']:g}: {met}")
    measured = [asdict(case) | result for case, result in results.items()]
    print(json.dumps({"benchmark": "load", "figures": found, "measured": measured}))


def measure(case: Case, folder: Path, cache_dir: Path) -> dict[str, Any]:
    """What the client reports, what was true, and when it began to send."""
    with load_server.serving(folder, case.ttft_s, case.itl_s) as server:
        started_unix_s = time.time()
        if case.client in PEERS:
            shape = (case.concurrency, case.requests_per_user * case.concurrency, case.tokens)
            reported = PEERS[case.client].run(cache_dir, folder, server.origin, *shape)
        else:
            reported = run_own(case, server.origin)
        truth = server.truth()
    startup_s = truth.pop("first_asked_unix_s") - started_unix_s
    return {"startup_s": startup_s, "reported": reported, "truth": truth}


# Each figure of one case: name, what is to be reached, and how it follows from the result.
AT_1000: dict[str, tuple[float, Callable[[dict[str, Any]], float]]] = {
    "ttft_p50_off_share": (0.02, lambda r: off(r, "ttft_p50_s") / r["truth"]["ttft_p50_s"]),
    "ttft_p99_off_s": (0.010, lambda r: off(r, "ttft_p99_s")),
    "itl_p99_off_s": (0.005, lambda r: off(r, "itl_p99_s")),
    "in_flight_share": (0.999, lambda r: float(r["reported"]["in_flight_share"])),
    "cpu_us_per_token": (20, lambda r: float(r["reported"]["cpu_us_per_token"])),
    "startup_s": (1.5, lambda r: float(r["startup_s"])),
    "memory_mb": (80, lambda r: float(r["reported"]["memory_mb"])),
}
AT_LEAST = ("in_flight_share", "flat_out_tokens_per_s", "streams_10000_honest")


def figures(results: dict[Case, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The figures to reach, each with the peers' of the same run."""
    own, large, flat_out = (results[CASES[at]] for at in (2, 4, 5))
    peers = {
        case.client: r for case, r in results.items() if case.concurrency == 1000 and r is not own
    }
    found = {}
    for name, (reach, of) in AT_1000.items():
        references = {client: of(result) for client, result in peers.items()}
        found[name] = figure(name, of(own), reach, references)
    flat = float(flat_out["reported"]["tokens_per_s"])
    found["flat_out_tokens_per_s"] = figure("flat_out_tokens_per_s", flat, 100_000, {})
    # Valid and right, or marked invalid.
    right = off(large, "ttft_p50_s") <= 0.02 * large["truth"]["ttft_p50_s"]
    honest = float(right or bool(large["reported"]["doubts"]))
    found["streams_10000_honest"] = figure("streams_10000_honest", honest, 1, {})
    return found


def figure(name: str, value: float, reach: float, references: dict[str, float]) -> dict[str, Any]:
    """One figure as JSON has it."""
    met = value >= reach if name in AT_LEAST else value <= reach
    return {"value": value, "reach": reach, "met": met, "references": references}


def off(result: dict[str, Any], name: str) -> float:
    """How far what was reported is from the truth."""
    return abs(float(result["reported"][name] - result["truth"][name]))


def run_own(case: Case, origin: str) -> dict[str, Any]:
    """This project's generator, in a process of its own."""
    shape = (case.concurrency, case.requests_per_user, case.tokens, case.workers)
    command = [sys.executable, "-m", "benchmarks.load_client", origin, case.client]
    done = subprocess.run([*command, *map(str, shape)], capture_output=True, text=True, check=True)
    reported: dict[str, Any] = json.loads(done.stdout)
    return reported


HEADING = (
    f"{'client':8} {'concurrency':>11} {'TTFT p50/p99 ms':>17} {'truth':>15} {'ITL p50/p99':>12} "
    f"{'truth':>12} {'in flight':>12} {'us/token':>9} {'tokens/s':>9} {'start s':>8} {'MB':>6}"
)


def row(case: Case, result: dict[str, Any]) -> str:
    """One line of the table."""
    reported, truth = result["reported"], result["truth"]

    def pair(values: dict[str, Any], name: str, digits: int) -> str:
        return "/".join(f"{values[f'{name}_{q}_s'] * 1e3:.{digits}f}" for q in ("p50", "p99"))

    in_flight = f"{truth['most_in_flight']} {reported['in_flight_share']:.1%}"
    return (
        f"{case.client:8} {case.concurrency:11} {pair(reported, 'ttft', 1):>17} "
        f"{pair(truth, 'ttft', 1):>15} {pair(reported, 'itl', 1):>12} {pair(truth, 'itl', 1):>12} "
        f"{in_flight:>12} {reported['cpu_us_per_token']:9.1f} {reported['tokens_per_s']:9.0f} "
        f"{result['startup_s']:8.2f} {reported['memory_mb']:6.0f}"
    ) + "".join(f"\n         {doubt}" for doubt in reported["doubts"])


if __name__ == "__main__":
    main()
