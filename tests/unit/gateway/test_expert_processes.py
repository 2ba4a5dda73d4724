"""The gateway's policies as processes: experts that are killed, stopped, full or left."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from benchmarks.gateway_experts import EVENT, Reply, fetch
from benchmarks.gateway_peers import free_port, wait_for
from er import config
from er.routing.router import Router, save
from tests.standins.waiting import until
from tests.unit.gateway.conftest import HOST
from tests.unit.gateway.raw import post, say, status
from tests.unit.gateway.test_processes import running

TOKENS, INTERVAL_S = 20, 0.2  # of an answer
BEGUN = "er_gateway_first_byte_seconds_count"  # answers


class ExpertProcess:
    """A process that answers on a port, which it keeps when it is revived."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}/v2/models/m/generate_stream"
        self.start()

    def start(self) -> None:
        program = [sys.executable, "-m", "benchmarks.gateway_experts", "serve"]
        self.process = subprocess.Popen([*program, str(self.port), str(INTERVAL_S)])
        wait_for(lambda: bool(self.connections("LISTEN")), 60, "the expert does not listen")

    def connections(self, state: str) -> list[object]:
        found = psutil.Process(self.process.pid).net_connections("tcp")
        return [connection for connection in found if connection.status == state]

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        if number is signal.SIGKILL:
            self.process.wait()


@pytest.fixture
def experts() -> Iterator[list[ExpertProcess]]:
    """Two of them."""
    started = [ExpertProcess(), ExpertProcess()]
    yield started
    for expert in started:
        expert.process.kill()
        expert.process.wait()


@asynccontextmanager
async def streaming(port: int) -> AsyncIterator["asyncio.Task[Reply]"]:
    """A request under way; the client leaves at the end of the block."""
    task = asyncio.ensure_future(fetch(port))
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def metric(port: int, start: str) -> float:
    """The sum of the samples that begin so."""
    text = (await say(port, b"GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n")).decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(start))


async def until_metric(port: int, start: str, value: float) -> None:
    """Return once the samples that begin so sum up to it."""

    async def holds() -> bool:
        return await metric(port, start) == value

    await until(holds)


async def test_a_full_expert_lets_requests_wait_and_refuses_more(
    experts: list[ExpertProcess], tmp_path: Path
) -> None:
    changes = {"in_flight_at_most": 1, "queue_at_most": 1, "timeouts": {"queue_s": 2.0}}
    with running(tmp_path, [experts[0].url], **changes) as (port, _):
        async with streaming(port):
            await until(lambda: len(experts[0].connections("ESTABLISHED")) == 1)
            experts[0].send(signal.SIGSTOP)  # so that it does not become free
            waiting = asyncio.ensure_future(say(port, post()))
            await until_metric(port, "er_gateway_queued{", 1)
            for answer, cause in ((await say(port, post()), "as many requests"),
                              (await waiting, "no expert became free")):  # fmt: skip
                assert status(answer) == 429
                assert b"retry-after: 1\r\n" in answer
                assert cause.encode() in answer


async def test_a_full_expert_spills_to_the_second_best(
    router: Router, experts: list[ExpertProcess], tmp_path: Path
) -> None:
    file = tmp_path / "router.npz"
    save(router, file)
    urls = [expert.url for expert in experts]
    policy, changes = config.Policy.kmeans, {"in_flight_at_most": 1, "spill_margin": 10.0}
    with running(tmp_path, urls, policy, str(file), **changes) as (port, _):
        async with streaming(port), streaming(port):
            for expert in experts:
                await until(lambda expert=expert: len(expert.connections("ESTABLISHED")) == 1)
            assert await metric(port, 'er_gateway_events_total{event="spilled"}') == 1


async def test_a_killed_expert_is_avoided_until_it_answers_again(
    experts: list[ExpertProcess], tmp_path: Path
) -> None:
    dying, other = experts
    changes = {"breaker_failures": 2, "breaker_open_s": 0.5}
    with running(tmp_path, [dying.url, other.url], **changes) as (port, _):
        streams = [asyncio.ensure_future(fetch(port)) for _ in range(8)]
        await until_metric(port, BEGUN, 8)
        assert len(dying.connections("ESTABLISHED")) == 4
        dying.send(signal.SIGKILL)
        replies = await asyncio.gather(*streams)
        cut = [reply for reply in replies if b"expert 0 broke off its stream" in reply.content]
        whole = [reply for reply in replies if reply.content.count(EVENT) == TOKENS]
        assert (len(cut), len(whole)) == (4, 4)
        assert all(reply.complete and reply.status == 200 for reply in replies)
        assert await metric(port, 'er_gateway_usable{expert="0"') == 0
        replies = await asyncio.gather(*(fetch(port) for _ in range(4)))
        assert [reply.content.count(EVENT) for reply in replies] == [TOKENS] * 4
        assert await metric(port, "er_gateway_events_total") >= 1
        dying.start()
        await until_metric(port, 'er_gateway_usable{expert="0"', 1)
        before = await metric(port, "er_gateway_requests_total")
        before_0 = await metric(port, 'er_gateway_requests_total{expert="0"}')
        async with streaming(port), streaming(port):
            await until_metric(port, "er_gateway_requests_total", before + 2)
            assert await metric(port, 'er_gateway_requests_total{expert="0"}') == before_0 + 1


async def test_a_silent_expert_is_not_waited_for(
    experts: list[ExpertProcess], tmp_path: Path
) -> None:
    silent, other = experts
    changes = {"timeouts": {"first_byte_s": 2.0, "idle_s": 3.0}}  # answers take 0.2 s a token
    with running(tmp_path, [silent.url, other.url], **changes) as (port, _):
        async with streaming(port) as begun:
            await until_metric(port, BEGUN, 1)
            silent.send(signal.SIGSTOP)
            replies = await asyncio.gather(*(fetch(port) for _ in range(4)))
            assert [reply.content.count(EVENT) for reply in replies] == [TOKENS] * 4
            reply = await begun
        silent.send(signal.SIGCONT)
    assert reply.complete
    assert reply.content.count(EVENT) >= 1
    assert b'data: {"error": "expert 0 was silent for 3 s"}' in reply.content


async def test_a_client_that_leaves_is_not_answered_any_more(
    experts: list[ExpertProcess], tmp_path: Path
) -> None:
    expert = experts[0]
    with running(tmp_path, [expert.url]) as (port, _):
        async with streaming(port), streaming(port):
            await until(lambda: len(expert.connections("ESTABLISHED")) == 2)
            expert.send(signal.SIGSTOP)  # so that one leaves before its first byte
            async with streaming(port):
                await until_metric(port, "er_gateway_in_flight{", 3)
            expert.send(signal.SIGCONT)
            await until(lambda: len(expert.connections("ESTABLISHED")) == 2)
        await until(lambda: not expert.connections("ESTABLISHED"))
        assert await metric(port, 'er_gateway_errors_total{cause="client_left"}') == 3
