"""What the load generator recorded at one point, and the resources that it used."""

from array import array
from dataclasses import dataclass, field

from er.load.clocks import Offset
from er.results.request import Request


def times() -> "array[float]":
    """A compact list of times in seconds, to be appended to."""
    return array("d")


@dataclass
class Effort:
    """Delays and resources of one process of the load generator at one point."""

    loop_lags_s: "array[float]" = field(default_factory=times)  # delays of its event loop
    # From the kernel's receive stamp to the read of each piece of data; empty without stamps.
    read_delays_s: "array[float]" = field(default_factory=times)
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_rss_bytes: int = 0


@dataclass
class PointLoad(Effort):
    """Requests of one concurrency, with delays and resources of all processes together."""

    requests: list[Request] = field(default_factory=list)  # in order of completion
    processes: int = 0
    clocks: list[Offset] = field(default_factory=list)  # of its nodes, if there are several
    busy: bool = True  # whether every user always has a request in flight

    def add(self, effort: Effort) -> None:
        """Add one process. Peak memory is that of the largest process."""
        self.processes += 1
        self.loop_lags_s.extend(effort.loop_lags_s)
        self.read_delays_s.extend(effort.read_delays_s)
        self.cpu_s += effort.cpu_s
        self.wall_s = max(self.wall_s, effort.wall_s)
        self.peak_rss_bytes = max(self.peak_rss_bytes, effort.peak_rss_bytes)
