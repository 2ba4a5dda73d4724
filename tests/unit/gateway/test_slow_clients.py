"""A gateway in a process of its own: clients that are slow, or that are too many."""

import asyncio
from pathlib import Path

import psutil

from tests.standins.waiting import until
from tests.unit.gateway.conftest import HOST, event
from tests.unit.gateway.raw import END, HEAD, RawExpert, answering, chunk, post, say, status
from tests.unit.gateway.test_expert_processes import metric
from tests.unit.gateway.test_processes import running

ONE = HEAD + chunk(event("one")) + END
HEALTH = b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n"


async def test_half_requests_end_while_others_are_answered(tmp_path: Path) -> None:
    async with answering(ONE).serving() as url:
        with running(tmp_path, [url], timeouts={"header_s": 1.5, "body_s": 1.5}) as (port, _):
            half_heads = [say(port, post()[:40]) for _ in range(100)]
            half_bodies = [say(port, post()[:-3]) for _ in range(100)]
            slow = asyncio.gather(*half_heads, *half_bodies)
            for _ in range(20):
                assert status(await say(port, post())) == 200
            assert {status(answer) for answer in await slow} == {408}
            assert await metric(port, 'er_gateway_errors_total{cause="slow_request"}') == 200


async def test_one_byte_at_a_time_is_too_slow_too(tmp_path: Path) -> None:
    async with answering(ONE).serving() as url:
        with running(tmp_path, [url], timeouts={"header_s": 0.5}) as (port, _):
            reader, writer = await asyncio.open_connection(HOST, port)
            answer = asyncio.ensure_future(reader.read())
            for byte in post():
                if answer.done():
                    break
                writer.write(bytes([byte]))
                await asyncio.sleep(0.05)
            assert status(await answer) == 408
            writer.close()


async def test_a_client_that_does_not_read_is_given_up(tmp_path: Path) -> None:
    piece = chunk(b"data: " + b"x" * 60_000 + b"\n\n")

    async def flood(writer: asyncio.StreamWriter) -> bool:
        writer.write(HEAD)
        for _ in range(1600):
            writer.write(piece)
            await writer.drain()
        return False

    expert = RawExpert(flood)
    async with expert.serving() as url:
        with running(tmp_path, [url], timeouts={"client_stall_s": 1.0}) as (port, process):
            reader, writer = await asyncio.open_connection(HOST, port, limit=1024)
            before = psutil.Process(process.pid).memory_info().rss
            writer.write(post())
            await asyncio.wait_for(expert.left.wait(), 60)
            assert psutil.Process(process.pid).memory_info().rss - before < 4_000_000
            assert await metric(port, 'er_gateway_errors_total{cause="slow_client"}') == 1
            writer.close()
            del reader


async def test_many_large_uploads_take_no_more_memory_than_they_may(tmp_path: Path) -> None:
    waiting = asyncio.Event()

    async def hold(writer: asyncio.StreamWriter) -> bool:
        await waiting.wait()
        writer.write(ONE)
        return True

    body = b'{"text_input": "%b"}' % (b"court " * 500_000)
    limits = {"buffered_bytes": 16_000_000}
    async with RawExpert(hold).serving() as url:
        with running(tmp_path, [url], limits=limits, in_flight_at_most=1) as (port, process):
            before = psutil.Process(process.pid).memory_info().rss
            asking = [asyncio.ensure_future(say(port, post(body))) for _ in range(60)]
            await asyncio.sleep(2)
            assert psutil.Process(process.pid).memory_info().rss - before < 60_000_000
            waiting.set()
            codes = [status(answer) for answer in await asyncio.gather(*asking)]
    assert set(codes) <= {0, 200, 429}  # 0: refused while it was still sending
    assert codes.count(200) >= 4


async def test_one_address_may_open_so_many_connections(tmp_path: Path) -> None:
    with running(tmp_path, ["http://127.0.0.1:1/v1"], limits={"connections_per_client": 3}) as (
        port,
        _,
    ):
        held = [await asyncio.open_connection(HOST, port) for _ in range(3)]
        await asyncio.sleep(0.1)
        refused = await say(port, HEALTH)
        assert status(refused) == 503
        assert b"retry-after: 1\r\n" in refused
        reader, other = await asyncio.open_connection(HOST, port, local_addr=("127.0.0.2", 0))
        other.write(HEALTH)
        assert b" 200 " in await reader.readline()
        other.close()
        held.pop()[1].close()

        async def has_room() -> bool:
            return status(await say(port, HEALTH)) == 200

        await until(has_room)
        for _, writer in held:
            writer.close()
