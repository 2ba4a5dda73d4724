"""Open files: each request in flight needs two, and the limit of a process may be low."""

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from er.compose import plan
from er.config import Policy
from er.gateway.fast import probe
from er.gateway.fast.replica import Replica
from er.gateway.plan import Plan
from tests.standins.waiting import until
from tests.unit.gateway.conftest import HOST, Start, event
from tests.unit.gateway.raw import (
    END,
    HEAD,
    RawExpert,
    answering,
    chunk,
    is_whole,
    post,
    say,
    status,
)
from tests.unit.gateway.test_gateway_policies import metric
from tests.unit.gateway.test_processes import running

ONE = HEAD + chunk(event("one")) + END


class Waiting(RawExpert):
    """Answers once it is allowed to."""

    def __init__(self) -> None:
        super().__init__(self._answer_later)
        self.may_answer = asyncio.Event()

    async def _answer_later(self, writer: asyncio.StreamWriter) -> bool:
        await self.may_answer.wait()
        writer.write(ONE)
        return True


async def ask(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bytes:
    """The answer to one prompt on a connection that is open already."""
    reader, writer = connection
    writer.write(post())
    got = b""
    while not is_whole(got):
        piece = await reader.read(65536)
        assert piece
        got += piece
    return got


@contextmanager
def no_more_files() -> Iterator[int]:
    """Allow this process no more open files; the limit."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
    try:
        yield lowest_free
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("kind", ["fast", "aiohttp"])
def test_too_low_a_hard_limit_is_reported_in_one_line(kind: str, tmp_path: Path) -> None:
    [job] = plan([f"gateway={kind}"])
    Plan(job.gateway, [["http://h/generate_stream"]], Policy.random).write(tmp_path / "plan.json")
    shell = f"ulimit -n 256; exec {sys.executable} -m er.gateway.process {tmp_path}/plan.json"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "4096 requests in flight need 8256 open files, the system allows 256" in line
    assert "ulimit -Hn" in line
    assert "gateway.in_flight_at_most" in line


async def test_a_soft_limit_is_raised_for_all_that_may_be_in_flight(tmp_path: Path) -> None:
    expert = Waiting()
    async with expert.serving() as url:
        with running(tmp_path, [url], shell="ulimit -Sn 80", in_flight_at_most=100) as (port, _):
            asking = [asyncio.ensure_future(say(port, post())) for _ in range(100)]
            await until(lambda: len(expert.received) == 100)
            expert.may_answer.set()
            answers = await asyncio.gather(*asking)
    assert [status(got) for got in answers] == [200] * 100


async def test_more_clients_than_files_may_be_open_are_refused(tmp_path: Path) -> None:
    expert = Waiting()
    async with expert.serving() as url:
        with running(tmp_path, [url], shell="ulimit -n 144", in_flight_at_most=40) as (port, _):
            asking = [asyncio.ensure_future(say(port, post())) for _ in range(300)]
            await until(lambda: sum(task.done() for task in asking) == 260)
            expert.may_answer.set()
            answers = await asyncio.gather(*asking)
            assert status(await say(port, post())) == 200
    refused = [got for got in answers if status(got) == 503]
    assert (len(refused), [status(got) for got in answers].count(200)) == (260, 40)
    for got in refused:
        assert b"40 connections are open, as many as may be (half of its open files: ulimit" in got


@pytest.mark.parametrize("kind", ["fast", "aiohttp"])
async def test_a_request_without_a_file_for_its_expert_is_refused(start: Start, kind: str) -> None:
    async with answering(ONE).serving() as url:
        gateway = await start(urls=[url, url], breaker_failures=1)
        connection = await asyncio.open_connection(HOST, gateway.port)
        with no_more_files() as limit:
            for _ in range(3):
                refused = await ask(connection)
                assert status(refused) == 503
                problem = f"has as many files open as a process may, {limit} (ulimit -n)"
                assert problem.encode() in refused
        assert status(await ask(connection)) == 200
        connection[1].close()
        if kind == "fast":
            assert await metric(gateway, "er_gateway_usable") == 2
            assert await metric(gateway, "er_gateway_expert_failures_total") == 0


async def test_an_expert_is_not_called_unreachable_for_want_of_a_file() -> None:
    with no_more_files() as limit:
        problem = await probe.infer(Replica(0, 0, "http://127.0.0.1:1/v1"), 1.0)
    assert f"{limit} (ulimit -n)" in problem
