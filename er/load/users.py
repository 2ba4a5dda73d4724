"""A closed loop: N users at once, each sends its next prompt when its answer has ended."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field

from er.config import Load
from er.errors import ErError
from er.load import client, lag, loop
from er.results import Endpoint, Prompt, Request

GIVE_UP_AFTER = 3  # failures in a row, or as many as there are users if that is more


@dataclass
class PointLoad:
    """What the load generator saw at one concurrency."""

    requests: list[Request] = field(default_factory=list)  # in order of completion
    loop_lags_s: list[float] = field(default_factory=list)  # lateness of the client's event loop


def requests_of(users: int, load: Load) -> int:
    """Measured requests at `users` users; warm-up requests come on top."""
    return max(users * load.requests_per_user, load.requests_at_least)


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
    return loop.run(lambda: _run_point(endpoint, prompts, users, load, on_request))


async def _run_point(
    endpoint: Endpoint,
    prompts: Sequence[Prompt],
    users: int,
    load: Load,
    on_request: Callable[[Request], None],
) -> PointLoad:
    point = PointLoad()
    async with client.opened(load.request_timeout_s) as sender:
        await sender.connect(endpoint, users)
        crowd = _Crowd(sender, endpoint, prompts, users, load, on_request, point)
        async with lag.watched(point.loop_lags_s):
            await _together([crowd.user(user) for user in range(users)])
    return point


async def _together(lives: Sequence[Coroutine[None, None, None]]) -> None:
    """Await all; the first fault of our own ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for life in lives:
                tasks.create_task(life)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


class _Crowd:
    """What the users of one point share."""

    def __init__(
        self,
        sender: client.Client,
        endpoint: Endpoint,
        prompts: Sequence[Prompt],
        users: int,
        load: Load,
        on_request: Callable[[Request], None],
        point: PointLoad,
    ) -> None:
        self.sender = sender
        self.endpoint = endpoint
        self.users = users
        self.load = load
        self.on_request = on_request
        self.point = point
        wanted = requests_of(users, load)
        self.measured = itertools.islice(itertools.cycle(prompts), wanted)
        self.warmup = itertools.cycle(reversed(prompts))
        self.index = itertools.count()
        self.failures_in_a_row = 0

    async def user(self, user: int) -> None:
        """One user's life: its warm-up, then measured requests until there are no more."""
        for prompt in itertools.islice(self.warmup, self.load.warmup_requests_per_user):
            await self.ask(user, prompt, warmup=True)
        for prompt in self.measured:
            await self.ask(user, prompt, warmup=False)

    async def ask(self, user: int, prompt: Prompt, warmup: bool) -> None:
        """Send one prompt, unless all have given up."""
        if self.failures_in_a_row >= max(self.users, GIVE_UP_AFTER):
            return
        request = Request(
            concurrency=self.users,
            user=user,
            index=next(self.index),
            warmup=warmup,
            topic=prompt.topic,
            input_tokens=prompt.input_tokens,
            max_tokens=prompt.output_tokens,
            send_s=0.0,
        )
        await self.sender.send(self.endpoint, prompt, request)
        self.failures_in_a_row = 0 if request.ok else self.failures_in_a_row + 1
        self.point.requests.append(request)
        self.on_request(request)
