"""How fast a study is predicted, and how far off.

    python -m benchmarks.simulation [--large] [--dynamo]

A ladder of 1 to 1,000 users on 8 experts, 20,000 requests a rung, with variable lengths, a skewed
router, KV-cache limits, a gateway and exact percentiles of every request and gap; then with chunked
context, MAX_UTILIZATION and reuse of the KV cache too, where they matter. Then the errors of what
NVIDIA published and the correction was not fitted on, as `er.simulation.validate` has them.
`--large` adds a million users on 1,000 nodes of 8 engines, which takes a minute and 2 GB, and says
beside the time how much of the processors it took and how much other virtual machines took of them;
`--dynamo` NVIDIA Dynamo's offline replay of the same prompts, which takes a minute. The last line
is JSON.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.simulation_dynamo import REQUIREMENT, install, replay
from er.compose import plan
from er.results.point import Point
from er.simulation import comparison, windows
from er.simulation.deployment import Delays, VirtualDeployment
from er.simulation.spec import EngineSpec, spec_of
from er.simulation.tables import Prompts

LADDER = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
REQUESTS = 20_000  # a rung
EXPERTS = 8
NODES = 1000
FEWEST_NODES = windows.ENGINES_AT_LEAST // EXPERTS
DELAYS = Delays(gateway_s=0.0003, request_s=0.0001, reply_s=0.0001)
# A small budget of tokens splits prompts; a small KV cache, full at 1,000 users, pauses requests.
FEATURES = (
    "engine.chunked_context=true",
    "engine.max_num_tokens=512",
    "engine.scheduler_policy=max_utilization",
    "engine.kv_cache_free_gpu_mem_fraction=0.08",
    "engine.kv_cache_reuse=true",
)
GROUPS, SHARED_TOKENS = 100, 128  # prompts that begin alike
REPEATS = 5
THREADS = 2
COLD = [sys.executable, "-c", "from benchmarks.simulation import ladder; ladder(20_000)"]


def spec(*overrides: str) -> EngineSpec:
    """An expert of deployment E: Llama 3 8B in FP16 on one H100."""
    [config] = plan(["deployment=e", *overrides])
    return spec_of(config)


def prompts(deployment: VirtualDeployment, count: int, seed: int) -> NDArray[np.int32]:
    """219 tokens in and 294 out on average, long-tailed; some experts get more of them."""
    random = np.random.default_rng(seed)
    input_tokens = (40 + random.geometric(1 / 179, count)).clip(max=1023)
    output_tokens = random.geometric(1 / 294, count).clip(max=1024)
    share = np.arange(1, EXPERTS + 1) ** -0.3
    engine = random.choice(EXPERTS, count, p=share / share.sum())
    engine += EXPERTS * random.integers(0, deployment.engines // EXPERTS, count)
    group = random.integers(0, GROUPS, count)
    first = np.zeros(count, bool)
    first[np.unique(group, return_index=True)[1]] = True
    shared_tokens = np.where(first, 0, np.minimum(input_tokens, SHARED_TOKENS))
    return deployment.prompts(input_tokens, output_tokens, engine, group, shared_tokens)


def rung(deployment: VirtualDeployment, concurrency: int, given: NDArray[np.int32]) -> Point:
    """One concurrency with every statistic."""
    outcome = deployment.play(
        given, deployment.loop(concurrency, warmup_per_user=1), warmup=concurrency
    )
    return outcome.point(concurrency, routed=True)


def ladder(requests: int, *overrides: str) -> float:
    """Seconds that every rung takes together, prompts given."""
    deployment = VirtualDeployment(spec(*overrides), EXPERTS, DELAYS)
    given = [prompts(deployment, requests + users, users) for users in LADDER]
    return seconds(lambda: in_threads(lambda i: rung(deployment, LADDER[i], given[i]), len(LADDER)))


class Took(NamedTuple):
    """How long something took, in seconds."""

    wall_s: float
    cpu_s: float  # user and system, of all threads
    stolen_s: float  # of all processors, by other virtual machines


def pinned(nodes: int) -> Took:
    """Times of 1,000 users on each node, who never leave it."""
    deployment = VirtualDeployment(spec(), EXPERTS, DELAYS)
    given = [prompts(deployment, REQUESTS, node) for node in range(nodes)]
    return measure(
        lambda: in_threads(lambda i: deployment.play(given[i], deployment.loop(1000)), nodes)
    )


def coupled(nodes: int) -> Took:
    """Times of as many users, each of whose requests goes to any node."""
    # Those of conf/clock/virtual.yaml, with a gateway on every node, whose service time is a delay.
    delays = Delays(request_s=0.0025, reply_s=0.0005)
    deployment = VirtualDeployment(spec(), EXPERTS * nodes, delays)
    given = prompts(deployment, REQUESTS * nodes, 0)
    loop = deployment.loop(1000 * nodes)
    return measure(lambda: deployment.play(given, loop))


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


def measure(work: Callable[[], object]) -> Took:
    """What `work` takes."""

    def used_s() -> tuple[float, float]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime, psutil.cpu_times().steal

    cpu_s, stolen_s = used_s()
    wall_s = seconds(work)
    cpu_after_s, stolen_after_s = used_s()
    return Took(wall_s, cpu_after_s - cpu_s, stolen_after_s - stolen_s)


def in_a_process(call: str) -> tuple[Took, float]:
    """What a function of this module takes in a fresh process, and that one's peak in GB."""
    code = f"import benchmarks.simulation as b; print(*b.{call}, b.peak_gb())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *took, peak = map(float, done.stdout.split())
    return Took(*took), peak


def peak_gb() -> float:
    """Largest resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def dynamo_ladder() -> float:
    """Seconds that Dynamo takes for the same prompts, rung after rung."""
    python = install(Path(".cache"))
    deployment = VirtualDeployment(spec(), EXPERTS)
    total_s = 0.0
    with TemporaryDirectory() as folder:
        for users in LADDER:
            given = prompts(deployment, REQUESTS, users)[:, [Prompts.input, Prompts.output]]
            report = replay(python, Path(folder), EXPERTS, deployment.limits, users, given.tolist())
            took_s = report["wall_time_ms"] / 1e3
            print(f"{REQUIREMENT}, {users} users: {took_s:.2f} s", flush=True)
            total_s += took_s
    return total_s


def accuracy() -> dict[str, dict[str, Any]]:
    """Relative errors, beyond what rounding explains, of the published runs that the correction was
    not fitted on; plain ones beside."""
    found = comparison.held_out(comparison.compare(comparison.published_study()))
    accuracy = {}
    for title, (group, quantity, statistic, reach) in comparison.AIMS.items():
        beyond, plain = (
            statistic(comparison.errors(found, quantity, comparison.GROUPS[group], rounded))
            for rounded in (True, False)
        )
        accuracy[f"error: {title}"] = figure(beyond, reach, plain=plain)
    return accuracy


def figure(value: float, reach: float, **references: float) -> dict[str, Any]:
    """One figure as the last line gives it; less is better."""
    met = bool(value <= reach)
    return {"value": float(value), "reach": reach, "met": met, "references": references}


def main() -> None:
    """Measure, print, and print again as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--large", action="store_true", help="a million users too")
    parser.add_argument("--dynamo", action="store_true", help="the ladder by NVIDIA Dynamo too")
    options = parser.parse_args()
    ladder(100)  # compiles
    peers = {REQUIREMENT: dynamo_ladder()} if options.dynamo else {}
    figures = {
        "ladder_warm_s": figure(min(ladder(REQUESTS) for _ in range(REPEATS)), 0.15, **peers),
        "ladder_features_warm_s": figure(
            min(ladder(REQUESTS, *FEATURES) for _ in range(REPEATS)), 0.15, **peers
        ),
        "cold_start_s": figure(seconds(lambda: subprocess.run(COLD, check=True)), 3),
        **accuracy(),
    }
    if options.large:
        in_a_process(f"coupled({FEWEST_NODES})")  # compiles
        for kind, reach_s in (("pinned", 5), ("coupled", 12)):
            took, peak = in_a_process(f"{kind}({NODES})")
            figures[f"million_{kind}_s"] = figure(
                took.wall_s, reach_s, cpu_s=took.cpu_s, stolen_s=took.stolen_s
            )
            figures[f"million_{kind}_gb"] = figure(peak, 2)
    for name, found in figures.items():
        met = "met" if found["met"] else "NOT MET"
        beside = "".join(f"; {of} {value:.3g}" for of, value in found["references"].items())
        print(f"{name:56s} {found['value']:8.3f}  reach {found['reach']:g}: {met}{beside}")
    print(json.dumps({"benchmark": "simulation", "figures": figures}))


if __name__ == "__main__":
    main()
