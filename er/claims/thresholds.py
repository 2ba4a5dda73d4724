"""From where a claim turns, on the virtual clock."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from er.config import Config
from er.results.point import Point

Points = Callable[[Config, Sequence[int]], list[Point]]
QUEUES = 2.0  # times the 95th percentile of one user


@dataclass(frozen=True)
class Threshold:
    """A condition, and where it holds, from and to; without an end: from there on."""

    condition: str
    ranges: list[tuple[float, float | None]]
    unit: str
    range: str  # in which it was looked for

    @property
    def described(self) -> str:
        """In one sentence."""
        unit = {"users": "user"}.get(self.unit, self.unit)  # of one
        parts = [
            f"from {first:,.4g} {unit if first == 1 else self.unit} on"
            if last is None
            else f"from {first:,.4g} to {last:,.4g} {self.unit}"
            for first, last in self.ranges
        ]
        return f"{self.condition}: {' and '.join(parts) or 'nowhere'} (predicted, {self.range})."


def thresholds(
    configs: dict[str, Config], points: Points, ladder: Sequence[int]
) -> list[Threshold]:
    """Where E is not ahead GPU for GPU, where D queues, how slow a gateway raises E's minimum."""
    return [
        where(
            "E gives more tokens/s per GPU than each of A, B and C",
            lambda concurrency: all(
                per_gpu(configs["e"], points, concurrency)
                > per_gpu(configs[name], points, concurrency)
                for name in "abc"
            ),
            ladder,
        ),
        where(
            f"D queues (p95 of the time to first token above {QUEUES:g} times that of one user)",
            lambda concurrency: (
                p95(configs["d"], points, concurrency) > QUEUES * p95(configs["d"], points, 1)
            ),
            ladder,
        ),
        gateway_from(configs, points),
    ]


def per_gpu(config: Config, points: Points, concurrency: int) -> float:
    """Output tokens per second and GPU."""
    [point] = points(config, [concurrency])
    return point.tokens_per_s / config.deployment.gpus


def p95(config: Config, points: Points, concurrency: int) -> float:
    """Of the time to first token, in seconds."""
    [point] = points(config, [concurrency])
    return point.ttft_s.p95


def where(condition: str, holds: Callable[[int], bool], ladder: Sequence[int]) -> Threshold:
    """From which number of users to which a condition holds.

    Looks at the ladder, and bisects between two of its steps that differ: what holds at two
    neighbours is taken to hold between them.
    """
    ranges: list[tuple[float, float | None]] = []
    start = ladder[0] if holds(ladder[0]) else None
    for low, high in pairwise(ladder):
        before, after = holds(low), holds(high)
        if before == after:
            continue
        turn = first_of(low, high, lambda users, after=after: holds(users) == after)  # type: ignore[misc]
        if start is None:
            start = turn
        else:
            ranges.append((start, turn - 1))
            start = None
    if start is not None:
        ranges.append((start, None))
    return Threshold(condition, ranges, "users", f"{ladder[0]:,} to {ladder[-1]:,} users")


def first_of(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The least number above `low`, where it does not hold, from which it does up to `high`."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def gateway_from(configs: dict[str, Config], points: Points) -> Threshold:
    """The gateway's service time that lifts E's minimum above every baseline's, at one user.

    At one user nothing waits in it: the minimum moves by as much as the service time.
    """
    [own] = points(configs["e"], [1])
    highest = max(points(configs[name], [1])[0].ttft_s.min for name in "abc")
    gateway_s = configs["e"].clock.gateway_s + highest - own.ttft_s.min
    slower = replace(configs["e"], clock=replace(configs["e"].clock, gateway_s=gateway_s * 1.001))
    [lifted] = points(slower, [1])
    ranges: list[tuple[float, float | None]] = [(gateway_s * 1e3, None)]
    condition = "E's minimum time to first token is above that of A, B and C"
    found = ranges if lifted.ttft_s.min > highest else []
    return Threshold(condition, found, "ms of service time in the gateway", "at 1 user")
