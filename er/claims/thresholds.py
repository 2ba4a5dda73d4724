"""From where a claim turns, on the virtual clock."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from er.config import Config
from er.results.point import Point

Points = Callable[[Config, Sequence[int]], list[Point]]
AT_MOST_CONCURRENCY = 1000
QUEUES = 2.0  # times the 95th percentile of one user


@dataclass(frozen=True)
class Threshold:
    """A condition, and the least value from which it holds; NaN: nowhere in its range."""

    condition: str
    value: float
    unit: str
    range: str

    @property
    def described(self) -> str:
        """In one sentence."""
        if self.value != self.value:
            return f"{self.condition}: nowhere {self.range} (predicted)."
        return f"{self.condition}: from {self.value:.4g} {self.unit} on (predicted, {self.range})."


def thresholds(configs: dict[str, Config], points: Points) -> list[Threshold]:
    """Where E is not ahead GPU for GPU, where D queues, how slow a gateway raises E's minimum."""
    return [
        concurrency_from(
            "E gives more tokens/s per GPU than each of A, B and C",
            lambda concurrency: all(
                per_gpu(configs["e"], points, concurrency)
                > per_gpu(configs[name], points, concurrency)
                for name in "abc"
            ),
        ),
        concurrency_from(
            f"D queues (p95 of the time to first token above {QUEUES:g} times that of one user)",
            lambda concurrency: (
                p95(configs["d"], points, concurrency) > QUEUES * p95(configs["d"], points, 1)
            ),
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


def concurrency_from(condition: str, holds: Callable[[int], bool]) -> Threshold:
    """The lowest concurrency at which a condition holds, if it holds for all higher ones.

    Bisects: about ten points.
    """
    where = f"1 to {AT_MOST_CONCURRENCY:,} users"
    if not holds(AT_MOST_CONCURRENCY):
        return Threshold(condition, float("nan"), "users", where)
    low, high = 0, AT_MOST_CONCURRENCY
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return Threshold(condition, float(high), "users", where)


def gateway_from(configs: dict[str, Config], points: Points) -> Threshold:
    """The gateway's service time that lifts E's minimum above every baseline's, at one user.

    At one user nothing waits in it: the minimum moves by as much as the service time.
    """
    [own] = points(configs["e"], [1])
    highest = max(points(configs[name], [1])[0].ttft_s.min for name in "abc")
    gateway_s = configs["e"].clock.gateway_s + highest - own.ttft_s.min
    slower = replace(configs["e"], clock=replace(configs["e"].clock, gateway_s=gateway_s * 1.001))
    [lifted] = points(slower, [1])
    value = gateway_s * 1e3 if lifted.ttft_s.min > highest else float("nan")
    condition = "E's minimum time to first token is above that of A, B and C"
    return Threshold(condition, value, "ms of service time in the gateway", "at 1 user")
