"""Drive all users as tasks of one event loop, over aiohttp or gRPC."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from er.load import lag, loop, memory
from er.load.effort import Effort
from er.load.plan import Plan, Work
from er.process import stopping
from er.results.request import Endpoint, Prompt, Request


class Sender(Protocol):
    """The interface of the clients of `er.load.client` and `er.load.triton_grpc`."""

    async def connect(self, endpoint: Endpoint, connections: int) -> None:
        """Connect before the clock starts."""

    async def send(self, endpoint: Endpoint, prompt: Prompt, request: Request) -> None:
        """Send `prompt` and fill in `request`; a fault of the server becomes its error."""


Opening = AbstractAsyncContextManager[Sender]


def drive(
    endpoint: Endpoint, plan: Plan, opening: Opening, on_request: Callable[[Request], None]
) -> Effort:
    """Send a plan's requests with the client of `opening`; `on_request` gets each as it ends."""
    return loop.run(lambda: _drive(endpoint, plan, opening, on_request))


async def _drive(
    endpoint: Endpoint, plan: Plan, opening: Opening, on_request: Callable[[Request], None]
) -> Effort:
    waiting: set[asyncio.Task[None] | None] = set()  # tasks whose next request is not due yet

    async def send_chain(work: Work | None) -> None:
        """Send a request, then those that follow from its answer."""
        me = asyncio.current_task()
        while work and not plan.over:
            request = work.request
            request.intended_s = started_s + work.due_s
            waiting.add(me)
            while (left_s := request.intended_s - time.monotonic()) > 0:
                await asyncio.sleep(left_s)  # repeated, since uvloop rounds to milliseconds
                if plan.over:
                    return
            waiting.discard(me)
            await sender.send(endpoint, work.prompt, request)
            on_request(request)
            work = plan.after(request, request.end_s - started_s)

    def begin_no_more() -> None:
        plan.cut()
        for task in waiting:
            if task:
                task.cancel()

    effort = Effort()
    memory.forget_peak()
    async with opening as sender:
        await sender.connect(endpoint, len(plan.users))
        works = plan.start()
        started_s, cpu_s = time.monotonic(), time.process_time()
        async with lag.watch(effort.loop_lags_s):
            with stopping.stoppable(begin_no_more):
                await _together([send_chain(work) for work in works])
        effort.cpu_s = time.process_time() - cpu_s
        effort.wall_s = time.monotonic() - started_s
    effort.peak_rss_bytes = memory.peak_bytes()
    return effort


async def _together(coroutines: Sequence[Coroutine[None, None, None]]) -> None:
    """Await all; the first exception cancels the others and is raised, not as part of a group."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for coroutine in coroutines:
                tasks.create_task(coroutine)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
