"""The load generator against the truth, beside its peers.

    python -m benchmarks.load [--aiperf]

A server in C streams with known latencies; each client reports what it saw. `--aiperf` adds
aiperf, installed into an environment of its own under the cache. The last line is JSON.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import load_aiperf, load_server

TTFT_S = 0.2
ITL_S = (0.02, 0.04)


@dataclass(frozen=True)
class Case:
    """One client at one number of users."""

    client: str
    users: int
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


def main() -> None:
    """Run every case, print a table, and the same as JSON."""
    parser = argparse.ArgumentParser(description="the load generator against the truth")
    parser.add_argument("--aiperf", action="store_true", help="measure aiperf beside it")
    parser.add_argument("--cache-dir", type=Path, default=Path(".cache"))
    arguments = parser.parse_args()
    cases = list(CASES)
    if arguments.aiperf:
        cases += [Case("aiperf", users) for users in (100, 1000)]
        load_aiperf.install(arguments.cache_dir)
    print(HEADING)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            result = measure(case, Path(folder), arguments.cache_dir)
            results.append(asdict(case) | result)
            print(row(case, result), flush=True)
    print(json.dumps(results))


def measure(case: Case, folder: Path, cache_dir: Path) -> dict[str, Any]:
    """What the client reports, what was true, and when it began to send."""
    with load_server.serving(folder, case.ttft_s, case.itl_s) as server:
        started_unix_s = time.time()
        if case.client == "aiperf":
            shape = (case.users, case.requests_per_user * case.users, case.tokens)
            reported = load_aiperf.run(cache_dir, folder, server.origin, *shape)
        else:
            reported = run_own(case, server.origin)
        truth = server.truth()
    startup_s = truth.pop("first_asked_unix_s") - started_unix_s
    return {"startup_s": startup_s, "reported": reported, "truth": truth}


def run_own(case: Case, origin: str) -> dict[str, Any]:
    """This project's generator, in a process of its own."""
    shape = (case.users, case.requests_per_user, case.tokens, case.workers)
    command = [sys.executable, "-m", "benchmarks.load_client", origin, case.client]
    done = subprocess.run([*command, *map(str, shape)], capture_output=True, text=True, check=True)
    reported: dict[str, Any] = json.loads(done.stdout)
    return reported


HEADING = (
    f"{'client':8} {'users':>6} {'TTFT p50/p99 ms':>17} {'truth':>15} {'ITL p50/p99':>12} "
    f"{'truth':>12} {'in flight':>12} {'us/token':>9} {'tokens/s':>9} {'start s':>8} {'MB':>6}"
)


def row(case: Case, result: dict[str, Any]) -> str:
    """One line of the table."""
    reported, truth = result["reported"], result["truth"]

    def pair(values: dict[str, Any], name: str, digits: int) -> str:
        return "/".join(f"{values[f'{name}_{q}_s'] * 1e3:.{digits}f}" for q in ("p50", "p99"))

    in_flight = f"{truth['most_in_flight']} {reported['in_flight_share']:.1%}"
    return (
        f"{case.client:8} {case.users:6} {pair(reported, 'ttft', 1):>17} "
        f"{pair(truth, 'ttft', 1):>15} {pair(reported, 'itl', 1):>12} {pair(truth, 'itl', 1):>12} "
        f"{in_flight:>12} {reported['cpu_us_per_token']:9.1f} {reported['tokens_per_s']:9.0f} "
        f"{result['startup_s']:8.2f} {reported['memory_mb']:6.0f}"
    ) + "".join(f"\n         {doubt}" for doubt in reported["doubts"])


if __name__ == "__main__":
    main()
