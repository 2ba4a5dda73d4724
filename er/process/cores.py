"""Split the cores of an allocation, so that servers, gateway and load generator run undisturbed.

Only the cores of a Slurm job are split.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from er.config import Cluster
from er.process import nodes

SPLIT_FROM = 8  # physical cores; with fewer, the servers need all of them
LOAD_SHARE, LOAD_AT_LEAST, LOAD_AT_MOST = 8, 2, 16  # one core in 8 for the load generator
SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
Cpus = tuple[int, ...]

_chosen: Cpus = ()


@dataclass(frozen=True)
class Split:
    """Logical CPUs of each part; all empty when nothing is split."""

    server: Cpus = ()
    gateway: Cpus = ()
    load: Cpus = ()

    def described(self) -> dict[str, str]:
        """CPU lists in the format of `taskset --cpu-list`; empty when nothing is split."""
        parts = {"server": self.server, "gateway": self.gateway, "load": self.load}
        return {name: cpu_list(cpus) for name, cpus in parts.items() if cpus}


def split_for(cluster: Cluster, routed: bool) -> Split:
    """Split the CPUs that this process may use, if it runs in a job of Slurm."""
    if cluster.kind == "laptop" or "SLURM_JOB_ID" not in os.environ:
        return Split()
    cores = physical(sorted(os.sched_getaffinity(0)))
    return split(cores, routed, load_here=not nodes.of_load(cluster))


def split(cores: Sequence[Cpus], routed: bool, load_here: bool = True) -> Split:
    """Assign each physical core, a tuple of its logical CPUs, to one part.

    The load generator gets an eighth of the cores, 2 to 16, unless it is on another node; a gateway
    gets half of that; the servers get the others, from the first on.
    """
    if len(cores) < SPLIT_FROM:
        return Split()
    load = min(LOAD_AT_MOST, max(LOAD_AT_LEAST, len(cores) // LOAD_SHARE))
    gateway = load // 2 if routed else 0
    load = load if load_here else 0
    server = len(cores) - load - gateway
    return Split(
        _joined(cores[:server]),
        _joined(cores[server : server + gateway]),
        _joined(cores[server + gateway :]),
    )


def physical(cpus: Sequence[int]) -> list[Cpus]:
    """Logical CPUs grouped by physical core; CPUs that the kernel does not describe stand alone."""
    groups: dict[str, list[int]] = {}
    for cpu in cpus:
        path = Path(SIBLINGS.format(cpu))
        name = path.read_text() if path.exists() else str(cpu)
        groups.setdefault(name, []).append(cpu)
    return [tuple(group) for group in groups.values()]


@contextmanager
def running_on(cpus: Cpus) -> Iterator[None]:
    """Run this thread, and what it starts, on these CPUs while the block lasts, if any are given.

    Processes and threads that were started in the block stay there after it.
    """
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
    """The CPUs of the current `running_on` (empty: any), which containers do not inherit."""
    return _chosen


def cpu_list(cpus: Cpus) -> str:
    """A list of CPUs as text, with ranges, such as 0-51,104."""
    ranges: list[list[int]] = []
    for cpu in sorted(cpus):
        if ranges and cpu == ranges[-1][1] + 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)


def _joined(cores: Sequence[Cpus]) -> Cpus:
    return tuple(cpu for core in cores for cpu in core)
