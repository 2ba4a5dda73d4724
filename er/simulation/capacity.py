"""How many users a deployment carries before it breaks a promise on latency."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from er.errors import ConfigError
from er.points import Point
from er.simulation.deployment import VirtualDeployment

WARMUP_PER_USER = 2  # until the users' common start has worn off
REQUESTS_PER_USER = 4
REQUESTS_AT_LEAST = 400
AT_MOST_USERS = 1 << 20
PRECISION = 0.01  # of the number of users


@dataclass(frozen=True)
class Promise:
    """Limits on the 95th percentiles."""

    ttft_p95_s: float
    tpot_p95_s: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ConfigError(f"{name} is {value}: give a limit above 0")

    def kept(self, point: Point) -> bool:
        """Whether a point is within the limits."""
        return point.ttft_s.p95 <= self.ttft_p95_s and (
            point.tpot_s.count == 0 or point.tpot_s.p95 <= self.tpot_p95_s
        )


@dataclass(frozen=True)
class Capacity:
    """The most users within a promise, and the point they make; none when not even one is."""

    users: int
    point: Point | None

    def gpus_for(self, users: int, gpus: int) -> int | None:
        """GPUs of as many copies of the deployment, of `gpus` each, as `users` need."""
        return math.ceil(users / self.users) * gpus if self.users else None


def most_users(
    deployment: VirtualDeployment, pool: NDArray[np.int32], promise: Promise
) -> Capacity:
    """Search the largest closed loop that keeps `promise`; `pool` are prompts, drawn in order and
    again from the start. Latency is taken to rise with users."""
    return largest(lambda users: point_at(deployment, pool, users), promise)


def point_at(deployment: VirtualDeployment, pool: NDArray[np.int32], users: int) -> Point:
    """The steady state of so many users."""
    warmup = WARMUP_PER_USER * users
    measured = max(REQUESTS_PER_USER * users, REQUESTS_AT_LEAST)
    prompts = pool[np.arange(warmup + measured) % len(pool)]
    loop = deployment.loop(users, warmup_per_user=WARMUP_PER_USER)
    return deployment.play(prompts, loop, warmup).point(users, deployment.engines > 1)


def largest(point_of: Callable[[int], Point], promise: Promise) -> Capacity:
    """Double the users until the promise breaks, then halve the gap."""
    best = Capacity(0, None)
    broken = 1
    while broken <= AT_MOST_USERS:
        point = point_of(broken)
        if not promise.kept(point):
            break
        best = Capacity(broken, point)
        broken *= 2
    while broken - best.users > max(1, PRECISION * best.users):
        middle = (best.users + broken) // 2
        point = point_of(middle)
        if promise.kept(point):
            best = Capacity(middle, point)
        else:
            broken = middle
    return best
