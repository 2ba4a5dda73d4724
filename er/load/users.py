"""A closed loop: N users at once, each sends its next prompt when its answer has ended."""

import asyncio
import resource
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field

from er.config import Load, LoadClient
from er.errors import ErError
from er.load import client, lag, loop, workers
from er.load.plan import Plan, requests_of
from er.load.worker import Job
from er.results import Endpoint, Prompt, Request

__all__ = ["PointLoad", "requests_of", "run_point"]


@dataclass
class PointLoad:
    """What the load generator saw at one concurrency, and what that cost it."""

    requests: list[Request] = field(default_factory=list)  # in order of completion
    loop_lags_s: list[float] = field(default_factory=list)  # how late the client's loop ran things
    # From the kernel's receive stamp to the read of each piece of data; empty without stamps.
    read_delays_s: list[float] = field(default_factory=list)
    processes: int = 1
    cpu_s: float = 0.0  # of all processes of the load generator
    wall_s: float = 0.0
    peak_rss_bytes: int = 0  # of the largest process


def run_point(
    endpoint: Endpoint,
    prompts: Sequence[Prompt],
    users: int,
    load: Load,
    on_request: Callable[[Request], None],
) -> PointLoad:
    """Drive `endpoint` with `users` users; returns when every measured request has ended.

    Measured requests send `prompts` in their order, from the start again when they run out;
    warm-up requests send them from the end backwards. `on_request` gets each request as it ends,
    so an interrupted point keeps what was completed. A fault of the server is an error of its
    request, never raised; after a fault each in a row the users give up and the point is short.
    Raises ErError without prompts; KeyboardInterrupt or what the caller's own signal handler
    raises when interrupted.
    """
    if not prompts:
        raise ErError("no prompts to send: build at least one")
    point = PointLoad()

    def keep(request: Request) -> None:
        point.requests.append(request)
        on_request(request)

    if load.client is LoadClient.sockets:
        _over_sockets(endpoint, prompts, users, load, keep, point)
    else:
        loop.run(lambda: _over_aiohttp(endpoint, Plan(prompts, users, load), load, keep, point))
    return point


def _over_sockets(
    endpoint: Endpoint,
    prompts: Sequence[Prompt],
    users: int,
    load: Load,
    keep: Callable[[Request], None],
    point: PointLoad,
) -> None:
    """Worker processes on plain sockets, each with its share of the users."""
    if not endpoint.url.startswith("http://"):
        raise ErError(
            f"load.client=sockets speaks plain HTTP, not {endpoint.url}: choose load.client=aiohttp"
        )
    point.processes = min(load.workers, users)
    plans = [Plan(prompts, users, load, at, point.processes) for at in range(point.processes)]
    jobs = [Job(endpoint, plan, load.request_timeout_s) for plan in plans]
    for effort in workers.drive(jobs, keep):
        point.loop_lags_s += effort.turns_s
        point.read_delays_s += effort.read_delays_s
        point.cpu_s += effort.cpu_s
        point.wall_s = max(point.wall_s, effort.wall_s)
        point.peak_rss_bytes = max(point.peak_rss_bytes, effort.peak_rss_bytes)


async def _over_aiohttp(
    endpoint: Endpoint,
    plan: Plan,
    load: Load,
    keep: Callable[[Request], None],
    point: PointLoad,
) -> None:
    """All users as tasks of one event loop."""

    async def live(user: int) -> None:
        while work := plan.next(user):
            prompt, request = work
            await sender.send(endpoint, prompt, request)
            plan.ended(request)
            keep(request)

    async with client.opened(load.request_timeout_s) as sender:
        await sender.connect(endpoint, len(plan.users))
        started_s, cpu_s = time.monotonic(), time.process_time()
        async with lag.watched(point.loop_lags_s):
            await _together([live(user) for user in plan.users])
        point.cpu_s = time.process_time() - cpu_s
        point.wall_s = time.monotonic() - started_s
        point.peak_rss_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def _together(lives: Sequence[Coroutine[None, None, None]]) -> None:
    """Await all; the first fault of our own ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for life in lives:
                tasks.create_task(life)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
