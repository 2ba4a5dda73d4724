"""The table of answers through er.gateway: both clients, every dialect, translated or not."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from er import compose
from er.config import Arrivals, FastGateway, LoadClient, Policy
from er.gateway.choosers import Choice
from er.gateway.fast.listening import listening
from er.gateway.fast.server import Server as Gateway
from er.gateway.simple import app as simple
from er.load.users import run_point
from er.results.request import Endpoint, Prompt, Request
from tests.unit.load.answers import BAD, GOOD, PATHS, TOKENS, Dialect
from tests.unit.load.fakes import in_loop, in_thread, load

EXPERTS = {"triton": PATHS["triton"], "openai": "/v1"}
ANSWERS = GOOD | {name: make for name, (make, _) in BAD.items()}

# What the gateway says of what it does not pass on, and where it has to read what it passes on.
BY_GATEWAY = {
    "cut before the last chunk": "broke off its stream",
    "negative chunk size": "gave a bad answer: a chunk's size is no number",
    "chunk size with a sign": "gave a bad answer: a chunk's size is no number",
    "endless chunk size": "gave a bad answer: a chunk's size is no number",
    "length and chunks": "HTTP 502: expert ",
    "no stream, and a broken chunk": "HTTP 502: expert ",
    "nothing": "did not answer",
}
TRANSLATED = {
    "cut inside an event": "its event is not JSON",
    "event: error": "says: no KV",
    "event: error without JSON": "says: gone",
    "an error object": "says: too long",
    "an error by its kind": "says: too long",
    "JSON at status 200": "HTTP 502: no event stream: no",
    "gzip": "gave a bad answer: it is compressed",
    "deep JSON": "its event is not JSON",
    "ping before the end": "its event is not JSON",
    "no content type": "HTTP 502: no event stream: hi",
    "an event without end": "its event is not JSON",
}


class ByName:
    """Chooses the expert that a prompt names: its text is `NUMBER: ANSWER`."""

    clusters = len(EXPERTS)
    digest = ""
    reads_loads = False

    def choose(self, text: str, loads: Sequence[float]) -> Choice:
        del loads
        chosen = int(text.partition(":")[0]) if ":" in text else 0
        return chosen, math.inf, chosen

    async def choose_long(self, text: str, loads: Sequence[float]) -> Choice:
        return self.choose(text, loads)

    def reason(self, text: str) -> bytes:
        del text
        return b""


async def answer(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    """What the prompt names, in the dialect that it comes in."""
    dialect = "triton" if "text_input" in body else "chat" if "messages" in body else "completions"
    text = body.get("text_input") or body.get("prompt") or body["messages"][0]["content"]
    writer.write(ANSWERS[text.partition(": ")[2]](Dialect(dialect)))
    await writer.drain()
    writer.close()


@asynccontextmanager
async def gateway_before(origin: str) -> AsyncIterator[str]:
    """The address of a gateway before one server that speaks both dialects."""
    [job] = compose.plan(["gateway=fast"])
    assert isinstance(job.gateway, FastGateway)
    settings = replace(job.gateway, retries=0, breaker_failures=1000)
    gateway = Gateway(settings, ByName(), "by name", [[origin + path] for path in EXPERTS.values()])
    async with listening(gateway, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """One gateway for the whole table."""
    with in_thread(answer) as server:
        address = urlsplit(server.endpoint.url)
        with in_loop(gateway_before(f"{address.scheme}://{address.netloc}")) as origin:
            yield origin


@pytest.fixture(scope="module")
def simple_origin() -> Iterator[str]:
    """The same before the gateway on aiohttp, which speaks Triton's dialect alone."""
    with in_thread(answer) as server:
        gateway = simple.application(Policy.random, lambda *_: 0, [server.endpoint.url], 1000)
        with in_loop(simple.listening(gateway, "127.0.0.1", 0)) as port:
            yield f"http://127.0.0.1:{port}"


def test_the_simple_gateway_makes_no_cut_a_success(simple_origin: str, client: LoadClient) -> None:
    found = requests_of(simple_origin, "triton", "triton")
    for name in GOOD:
        assert (name, found[name].error, found[name].output_tokens) == (name, "", TOKENS)
    for name in BAD:
        assert not found[name].ok, (client, name)


@pytest.mark.parametrize("expert", EXPERTS)
@pytest.mark.parametrize("dialect", PATHS)
def test_every_answer_keeps_its_meaning(
    origin: str, client: LoadClient, dialect: str, expert: str
) -> None:
    found = requests_of(origin, dialect, expert)
    assert found.keys() == ANSWERS.keys()
    for name in GOOD:
        request = found[name]
        assert (name, request.error, request.output_tokens) == (name, "", TOKENS)
        assert (name, request.text) == (name, "t " * TOKENS)
    translated = (dialect == "triton") != (expert == "triton")
    for name, (_, error) in BAD.items():
        request = found[name]
        if name in BY_GATEWAY:
            error = BY_GATEWAY[name]
        elif translated:
            error = TRANSLATED.get(name, error)
        assert not request.ok, (client, name)
        assert error in request.error, name


def requests_of(origin: str, dialect: str, expert: str) -> dict[str, Request]:
    """Each answer of the table, as the load generator has it."""
    number = list(EXPERTS).index(expert)
    prompts = [Prompt(f"{number}: {name}", name, 1, TOKENS) for name in ANSWERS]
    at_once = {"arrivals": Arrivals.burst, "burst_every_s": 1.0}
    settings = load(requests_per_user=1, warmup_requests_per_user=0, **at_once)
    endpoint = Endpoint(origin + PATHS[dialect].replace("fake", "ensemble"), "m")
    point = run_point(endpoint, prompts, len(prompts), settings, lambda _: None)
    return {request.topic: request for request in point.requests if request.measured}
