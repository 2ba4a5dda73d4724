"""The cores of an allocation, split so that servers, gateway and load generator do not disturb
each other. On a laptop nothing is split."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from er.config import Cluster
from er.process import nodes

SPLIT_FROM = 8  # physical cores; of fewer, none can be spared
SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
Cpus = tuple[int, ...]

_chosen: Cpus = ()


@dataclass(frozen=True)
class Split:
    """Logical CPUs of each part; all empty where nothing is split."""

    server: Cpus = ()
    gateway: Cpus = ()
    load: Cpus = ()

    def described(self) -> dict[str, str]:
        """CPU lists as `taskset --cpu-list` takes them; empty where nothing is split."""
        parts = {"server": self.server, "gateway": self.gateway, "load": self.load}
        return {name: cpu_list(cpus) for name, cpus in parts.items() if cpus}


def split_for(cluster: Cluster, routed: bool) -> Split:
    """The split of the CPUs that this process may use, in a job of a cluster."""
    if cluster.kind == "laptop" or "SLURM_JOB_ID" not in os.environ:
        return Split()
    cores = physical(sorted(os.sched_getaffinity(0)))
    return split(cores, routed, load_here=not nodes.of_load(cluster))


def split(cores: Sequence[Cpus], routed: bool, load_here: bool = True) -> Split:
    """An eighth of the physical cores to the load generator, 2 to 16, unless it is on another node;
    half of that to a gateway; the others, from the first, to the servers. Threads of one core stay
    together."""
    if len(cores) < SPLIT_FROM:
        return Split()
    load = min(16, max(2, len(cores) // 8))
    gateway = load // 2 if routed else 0
    load = load if load_here else 0
    server = len(cores) - load - gateway
    return Split(
        _joined(cores[:server]),
        _joined(cores[server : server + gateway]),
        _joined(cores[server + gateway :]),
    )


def physical(cpus: Sequence[int]) -> list[Cpus]:
    """Logical CPUs by physical core; each is its own where the kernel does not say."""
    groups: dict[str, list[int]] = {}
    for cpu in cpus:
        path = Path(SIBLINGS.format(cpu))
        name = path.read_text() if path.exists() else str(cpu)
        groups.setdefault(name, []).append(cpu)
    return [tuple(group) for group in groups.values()]


@contextmanager
def running_on(cpus: Cpus) -> Iterator[None]:
    """What this thread does and starts while the block lasts runs on these CPUs, if any are given;
    what it has started stays there."""
    global _chosen
    if not cpus:
        yield
        return
    before, chosen_before = os.sched_getaffinity(0), _chosen
    os.sched_setaffinity(0, cpus)
    _chosen = cpus
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
        _chosen = chosen_before


def chosen() -> Cpus:
    """The CPUs of `running_on`, for what a daemon starts and does not inherit them; empty: any."""
    return _chosen


def cpu_list(cpus: Cpus) -> str:
    """Such as 0-51,104: ranges where numbers follow each other."""
    ranges: list[list[int]] = []
    for cpu in sorted(cpus):
        if ranges and cpu == ranges[-1][1] + 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)


def _joined(cores: Sequence[Cpus]) -> Cpus:
    return tuple(cpu for core in cores for cpu in core)
