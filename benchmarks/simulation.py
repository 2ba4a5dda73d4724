"""How fast a study is predicted.

    python -m benchmarks.simulation [--large]

A ladder of 1 to 1,000 users on 8 experts, 20,000 requests a rung, with variable lengths, a skewed
router, KV-cache limits, a gateway and exact percentiles of every request and gap. `--large` adds a
million users on 1,000 nodes of 8 engines, which takes a minute and 2 GB. The last line is JSON.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from er.points import Point
from er.simulation.deployment import Delays, VirtualDeployment
from er.simulation.spec import EngineSpec, spec_of
from er.sweep import plan

LADDER = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
REQUESTS = 20_000  # a rung
EXPERTS = 8
NODES = 1000
DELAYS = Delays(gateway_s=0.0003, request_s=0.0001, reply_s=0.0001)
REPEATS = 5
THREADS = 2
COLD = "from benchmarks.simulation import ladder; ladder(20_000)"


def spec() -> EngineSpec:
    """An expert of deployment E: Llama 3 8B in FP16 on one H100."""
    [config] = plan(["deployment=e"])
    return spec_of(config)


def prompts(deployment: VirtualDeployment, count: int, seed: int) -> NDArray[np.int32]:
    """219 tokens in and 294 out on average, long-tailed; some experts are asked more often."""
    random = np.random.default_rng(seed)
    input_tokens = (40 + random.geometric(1 / 179, count)).clip(max=1023)
    output_tokens = random.geometric(1 / 294, count).clip(max=1024)
    share = np.arange(1, EXPERTS + 1) ** -0.3
    engine = random.choice(EXPERTS, count, p=share / share.sum())
    engine += EXPERTS * random.integers(0, deployment.engines // EXPERTS, count)
    return deployment.prompts(input_tokens, output_tokens, engine)


def rung(deployment: VirtualDeployment, users: int, asked: NDArray[np.int32]) -> Point:
    """One concurrency with every statistic."""
    outcome = deployment.play(asked, deployment.loop(users, warmup_per_user=1), warmup=users)
    return outcome.point(users, routed=True)


def ladder(requests: int) -> float:
    """Seconds that every rung takes together, prompts given."""
    deployment = VirtualDeployment(spec(), EXPERTS, DELAYS)
    asked = [prompts(deployment, requests + users, users) for users in LADDER]
    return seconds(lambda: in_threads(lambda i: rung(deployment, LADDER[i], asked[i]), len(LADDER)))


def pinned(nodes: int) -> float:
    """Seconds for 1,000 users on each node, who never leave it."""
    deployment = VirtualDeployment(spec(), EXPERTS, DELAYS)
    asked = [prompts(deployment, REQUESTS, node) for node in range(nodes)]
    return seconds(
        lambda: in_threads(lambda i: deployment.play(asked[i], deployment.loop(1000)), nodes)
    )


def coupled(nodes: int) -> float:
    """Seconds for as many users, each of whose requests goes to any node."""
    delays = Delays(request_s=0.0004, reply_s=0.0001)  # a gateway on every node
    deployment = VirtualDeployment(spec(), EXPERTS * nodes, delays)
    asked = prompts(deployment, REQUESTS * nodes, 0)
    loop = deployment.loop(1000 * nodes)
    return seconds(lambda: deployment.play(asked, loop))


def in_threads(work: Callable[[int], object], count: int) -> None:
    """`work(0)`, `work(1)`... on several threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(work, range(count)):
            pass


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_a_process(call: str) -> tuple[float, float]:
    """What a function of this module returns in a fresh process, and that one's peak in GB."""
    code = f"import benchmarks.simulation as b; print(b.{call}, b.peak_gb())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    took, peak = done.stdout.split()
    return float(took), float(peak)


def peak_gb() -> float:
    """Largest resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Measure, print, and print again as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--large", action="store_true", help="a million users too")
    large = parser.parse_args().large
    ladder(100)  # compiles
    result: dict[str, Any] = {"ladder_warm_s": min(ladder(REQUESTS) for _ in range(REPEATS))}
    result["cold_start_s"] = seconds(
        lambda: subprocess.run([sys.executable, "-c", COLD], check=True)
    )
    if large:
        result["million_pinned_s"], result["million_pinned_gb"] = in_a_process(f"pinned({NODES})")
        result["million_coupled_s"], result["million_coupled_gb"] = in_a_process(
            f"coupled({NODES})"
        )
    for name, value in result.items():
        print(f"{name:20s} {value:8.3f}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
