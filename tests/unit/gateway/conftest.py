"""A gateway before fake experts, all on one event loop."""

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from er import config
from er.compose import plan
from er.gateway import choosers, slices
from er.gateway.choosers import Chooser
from er.gateway.fast.listening import listening as listening_fast
from er.gateway.fast.server import Server
from er.gateway.paths import GENERATE_PATH
from er.gateway.simple.app import application, listening
from er.gateway.trained import Trained
from er.routing import clusters
from er.routing.choice import Choice, best_two
from er.routing.router import Router
from tests.standins.waiting import until

HOST = "127.0.0.1"
TOPICS = {"law": "plaintiff court contract liable", "cooking": "oven butter flour simmer"}


@dataclass
class Expert:
    """A fake expert: how it answers, and what it has seen."""

    answer: Callable[[web.Request, web.StreamResponse], Awaitable[None]]
    received: list[bytes] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def respond(self, request: web.Request) -> web.StreamResponse:
        self.received.append(await request.read())
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        try:
            await self.answer(request, response)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return response

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Its URL, for as long as the block lasts."""
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/generate_stream", self.respond)
        async with listening(app, HOST, 0) as port:
            yield f"http://{HOST}:{port}/generate_stream"


@dataclass
class Gateway:
    """A running gateway and a client of it."""

    client: aiohttp.ClientSession
    port: int
    server: Server | None = None  # of the kind fast

    def ask(self, text: str, **fields: Any) -> Any:
        """POST one prompt."""
        body = {"text_input": text, "max_tokens": 3, "stream": True} | fields
        return self.client.post(GENERATE_PATH, data=io.BytesIO(json.dumps(body).encode()))

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text of a GET."""
        async with self.client.get(path) as response:
            return response.status, await response.text()

    async def is_idle(self, expert: str = ".") -> None:
        """Return once no request is in flight at an expert, or at any."""
        pattern = rf'er_gateway_in_flight{{expert="{expert}"}} (\d+)'

        async def holds() -> bool:
            return set(re.findall(pattern, (await self.get("/metrics"))[1])) == {"0"}

        await until(holds)


def event(text: str) -> bytes:
    """One server-sent event with one token."""
    return b"data: " + json.dumps({"text_output": text}).encode() + b"\n\n"


@pytest.fixture(scope="session")
def router() -> Router:
    """A router of two experts."""
    texts = [f"{words} {word}" for words in TOPICS.values() for word in words.split()]
    routing = config.Routing("test", 2, 2, False, 1, 1.0, 1, False)
    return clusters.fit(texts, routing, seed=0, metadata={})


class InMemory:
    """A trained router as the gateway has it, without its file."""

    reads_loads = False
    digest = "0123456789abcdef"

    def __init__(self, router: Router) -> None:
        self.router, self.clusters = router, router.experts

    def choose(self, text: str, _: Sequence[float]) -> Choice:
        return best_two(self.router.scores(text).tolist())

    async def choose_long(self, text: str, _: Sequence[float]) -> Choice:
        return best_two(await slices.scores(self.router, text))

    async def explain(self, text: str, loads: Sequence[float]) -> tuple[Choice, bytes]:
        return await Trained.explain(self, text, loads)  # type: ignore[arg-type]


def settings(**changes: Any) -> config.FastGateway:
    """Those of `conf/gateway/fast.yaml`, changed; `timeouts` and `limits` are dictionaries."""
    [job] = plan(["gateway=fast"])
    assert isinstance(job.gateway, config.FastGateway)
    nested = {
        name: replace(getattr(job.gateway, name), **changes.pop(name, {}))
        for name in ("timeouts", "limits")
    }
    return replace(job.gateway, **nested, **changes)


Start = Callable[..., Awaitable[Gateway]]


@pytest.fixture
def kind() -> str:
    """Which kind of gateway; a module's tests may run over several."""
    return "fast"


@pytest.fixture
async def start(router: Router, kind: str) -> AsyncIterator[Start]:
    """Start a gateway before two experts of the given answer, or before the given URLs."""

    def chooser(policy: config.Policy, clusters: int) -> Chooser:
        if policy is config.Policy.kmeans:
            return InMemory(router)
        return choosers.Baseline(policy, clusters)

    async with AsyncExitStack() as stack:

        async def build(
            expert: Expert | None = None,
            urls: list[str] | None = None,
            at_most: int = 100,
            policy: config.Policy = config.Policy.kmeans,
            **changes: Any,
        ) -> Gateway:
            if expert is not None:
                urls = [await stack.enter_async_context(expert.serving())] * 2
            server = None
            if kind == "aiohttp":
                chosen = chooser(policy, len(urls or []))
                app = application(
                    policy, lambda text, loads: chosen.choose(text, loads)[0], urls or [], at_most
                )
                port = await stack.enter_async_context(listening(app, HOST, 0))
            else:
                changes.setdefault("in_flight_at_most", at_most)
                experts = [[url] for url in urls or []]
                server = Server(
                    settings(**changes), chooser(policy, len(experts)), policy.value, experts
                )
                port = await stack.enter_async_context(listening_fast(server, HOST, 0))
            client = aiohttp.ClientSession(f"http://{HOST}:{port}")
            return Gateway(await stack.enter_async_context(client), port, server)

        yield build
