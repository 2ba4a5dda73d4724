"""What the load generator saw at one point, and what that cost it."""

from array import array
from dataclasses import dataclass, field

from er.load.clocks import Offset
from er.results.request import Request


def times() -> "array[float]":
    """A compact list of times in seconds, to be appended to."""
    return array("d")


@dataclass
class Effort:
    """What one process of the load generator spent on its share of a point."""

    loop_lags_s: "array[float]" = field(default_factory=times)  # how late its loop ran things
    # From the kernel's receive stamp to the read of each piece of data; empty without stamps.
    read_delays_s: "array[float]" = field(default_factory=times)
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_rss_bytes: int = 0


@dataclass
class PointLoad(Effort):
    """Requests of one concurrency, and what all processes together spent on them."""

    requests: list[Request] = field(default_factory=list)  # in order of completion
    processes: int = 0
    clocks: list[Offset] = field(default_factory=list)  # of its nodes, where these are several
    busy: bool = True  # whether every user always has a request in flight

    def add(self, effort: Effort) -> None:
        """Count one process in. Peak memory is of the largest."""
        self.processes += 1
        self.loop_lags_s.extend(effort.loop_lags_s)
        self.read_delays_s.extend(effort.read_delays_s)
        self.cpu_s += effort.cpu_s
        self.wall_s = max(self.wall_s, effort.wall_s)
        self.peak_rss_bytes = max(self.peak_rss_bytes, effort.peak_rss_bytes)
