"""Every request has an id, a line in the log, and where it failed the cause that metrics count."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.gateway_peers import free_port
from er.config import Policy
from er.gateway.counts import IN_FLIGHT
from er.gateway.fast import openapi
from er.gateway.fast.control import UNLOGGED
from er.gateway.keys import Keys
from tests.standins.waiting import until
from tests.unit.gateway.conftest import HOST, Gateway, Start, event
from tests.unit.gateway.raw import (
    END,
    HEAD,
    PATH,
    RawExpert,
    answering,
    chunk,
    post,
    say,
    status,
)

ONE = HEAD + chunk(event("one")) + END
CHAT = json.dumps({"messages": [{"role": "user", "content": "court"}], "stream": True}).encode()
DEAD = f"http://{HOST}:1/generate_stream"
CAUSE = re.compile(r'er_gateway_errors_total{cause="(\w+)"} (\d+)')


async def logging_gateway(start: Start, *urls: str, **changes: Any) -> tuple[Gateway, list[str]]:
    """A gateway, and the lines it logs."""
    gateway = await start(urls=[*urls], policy=Policy.round_robin, access_log=True, **changes)
    lines: list[str] = []
    assert gateway.server
    gateway.server.log.add = lines.append  # type: ignore[method-assign]
    return gateway, lines


async def causes(gateway: Gateway) -> dict[str, float]:
    """What metrics count."""
    text = (await gateway.get("/metrics"))[1].replace(".0", "")
    return {cause: float(count) for cause, count in CAUSE.findall(text) if float(count)}


async def die(writer: asyncio.StreamWriter) -> bool:
    """An expert that is killed within its stream."""
    writer.write(HEAD + chunk(event("one")))
    await writer.drain()
    await asyncio.sleep(0.02)
    writer.transport.abort()
    return False


async def stay(writer: asyncio.StreamWriter) -> bool:
    """An expert that never ends."""
    writer.write(HEAD + chunk(event("one")))
    await asyncio.sleep(60)
    return False


async def talk(writer: asyncio.StreamWriter) -> bool:
    """An expert whose stream goes on."""
    writer.write(HEAD)
    while not writer.transport.is_closing():
        writer.write(chunk(event("one")))
        await asyncio.sleep(0.01)
    return False


async def hang_up(writer: asyncio.StreamWriter) -> bool:
    """An expert that does not answer."""
    writer.transport.abort()
    return False


async def leave(port: int, request: bytes) -> bytes:
    """Go away with the first token."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(request)
    await reader.readuntil(b"one")
    writer.close()
    return b""


def own(status_line: bytes) -> Callable[[asyncio.StreamWriter], Any]:
    """An expert's error."""
    return answering(b"HTTP/1.1 %b\r\ncontent-length: 0\r\n\r\n" % status_line).answer


ENDINGS: dict[str, tuple[Any, Any, int | None, str | None]] = {
    "whole": (answering(ONE).answer, say, 200, None),
    "killed": (die, say, 200, "broken_stream"),
    "left": (stay, leave, 200, "client_left"),
    "silent": (stay, say, 200, "timeout"),
    "no answer": (hang_up, say, 502, "no_answer"),
    "500": (own(b"500 Oh"), say, 500, "bad_answer"),
    "503": (own(b"503 Full"), say, 503, "bad_answer"),
    "400": (own(b"400 Bad"), say, 400, None),
    "no HTTP": (answering(b"oops\r\n\r\n").answer, say, 502, "bad_answer"),
}


@pytest.mark.parametrize("path", [PATH, "/v1/chat/completions"])
@pytest.mark.parametrize("ending", ENDINGS)
async def test_the_log_has_the_cause_that_metrics_count(
    start: Start, ending: str, path: str
) -> None:
    answer, ask, code, cause = ENDINGS[ending]
    if path != PATH and ending == "400":
        cause = "bad_answer"  # translated: the client gets an error of the gateway's
    async with RawExpert(answer).serving() as url:
        timeouts = {"idle_s": 0.2} if ending == "silent" else {}
        changes = {"timeouts": timeouts, "breaker_failures": 99, "retries": 0}
        gateway, lines = await logging_gateway(start, url, **changes)
        got = await ask(
            gateway.port, post(b'{"text_input": "a"}' if path == PATH else CHAT, path=path)
        )
        await until(lambda: bool(lines))
        await gateway.is_idle()
        assert await causes(gateway) == ({cause: 1.0} if cause else {})
    [line] = map(json.loads, lines)
    assert (line["status"], line["cause"]) == (code, cause)
    assert (line["expert"], line["chosen"], line["replica"]) == (0, 0, url)
    if got:
        assert status(got) == code
        head = got.partition(b"\r\n\r\n")[0].decode().splitlines()
        assert f"x-request-id: {line['id']}" in head
        assert "x-er-expert: 0" in head
        assert url not in got.decode()


async def test_a_stream_that_ends_with_the_gateway_is_logged_as_drained(start: Start) -> None:
    async with RawExpert(stay).serving() as url:
        gateway, lines = await logging_gateway(start, url, timeouts={"drain_s": 0.01})
        reader, writer = await asyncio.open_connection(HOST, gateway.port)
        writer.write(post())
        await reader.readuntil(b"one")
        assert gateway.server
        await gateway.server.drain()
        assert b"the gateway stops" in await reader.readuntil(END)
        writer.close()
    [line] = map(json.loads, lines)
    assert (line["status"], line["cause"]) == (200, "draining")


def refused(path: str) -> dict[str, tuple[bytes, int, str]]:
    """Requests for a path that the gateway refuses itself: their bytes, status, cause."""
    body = CHAT if path.startswith("/v1") else b'{"text_input": "court"}'
    lines = f"POST {path} HTTP/1.1\r\nhost: h\r\n".encode()
    return {
        "unreachable": (post(body, path=path), 503, "unreachable"),
        "no JSON": (post(b"{", path=path), 400, "bad_request"),
        "no key": (post(body, path=path), 401, "unauthorized"),
        "unknown": (post(body, path=path + "/x"), 404, "not_found"),
        "by GET": (post(b"", path=path).replace(b"POST", b"GET"), 405, "not_found"),
        "slow": (lines + b"content-length: 9\r\n\r\n{", 408, "slow_request"),
        "slow head": (lines, 408, "slow_request"),
        "large": (post(body + b" " * 9000, path=path), 413, "too_large"),
        "compressed": (post(body, "content-encoding: gzip", path=path), 415, "bad_request"),
        "expectant": (post(body, "expect: more", path=path), 417, "bad_request"),
        "full": (post(body, path=path), 429, "overload"),
        "many headers": (post(body, *["a: b"] * 300, path=path), 431, "too_large"),
        "a long head": (post(body, *["a: " + "b" * 900] * 9, path=path), 431, "too_large"),
        "no host": (post(body, path=path).replace(b"host: h\r\n", b""), 400, "bad_request"),
    }  # fmt: skip


@pytest.mark.parametrize("path", [PATH, "/v1/chat/completions"])
async def test_every_refusal_has_an_id_a_line_and_the_clients_dialect(
    start: Start, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"body_bytes": 8000, "header_bytes": 8000}
    for name, (request, code, cause) in refused(path).items():
        timeouts = {"header_s": 0.1, "body_s": 0.1} if cause == "slow_request" else {}
        gateway, lines = await logging_gateway(start, DEAD, limits=limits, timeouts=timeouts)
        assert gateway.server
        if name == "no key":
            gateway.server.keys = Keys([("ann", "secret-secret")])
        if name == "full":
            monkeypatch.setattr(gateway.server.settings, "queue_at_most", 0)
            gateway.server.counts.row[IN_FLIGHT] = gateway.server.settings.in_flight_at_most
        got = await say(gateway.port, request)
        head, _, body = got.partition(b"\r\n\r\n")
        assert status(got) == code, (name, got)
        [line] = map(json.loads, lines)
        assert (line["status"], line["cause"]) == (code, cause), name
        assert line["path"] == (path + "/x" if name == "unknown" else path), name
        assert f"x-request-id: {line['id']}" in head.decode().splitlines(), name
        decided = name in ("unreachable", "full")
        assert (b"x-er-expert: 0" in head, line["chosen"]) == (decided, 0 if decided else None)
        assert await causes(gateway) == {cause: 1.0}, name
        require_dialect(json.loads(body)["error"], code, openai=path != PATH)


def require_dialect(error: Any, code: int, *, openai: bool) -> None:
    """An error is a text for Triton's clients, an object for OpenAI's."""
    if not openai:
        assert isinstance(error, str)
        return
    kinds = {429: "rate_limit_error", 503: "server_error"}
    assert error["message"]
    assert error["type"] == kinds.get(code, "invalid_request_error")
    assert set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("drains", [True, False])
async def test_requests_that_wait_for_the_one_before_are_logged(
    start: Start, *, drains: bool
) -> None:
    async with RawExpert(talk).serving() as url:
        gateway, lines = await logging_gateway(start, url, timeouts={"drain_s": 0.01})
        assert gateway.server
        first, waiting = post(b'{"text_input": "a"}', "x-request-id: a"), post()
        reader, writer = await asyncio.open_connection(HOST, gateway.port)
        writer.write(first + waiting + waiting)
        await reader.readuntil(b"one")
        if drains:
            await gateway.server.drain()
        writer.close()
        await until(lambda: len(lines) >= 3)
    found = list(map(json.loads, lines))
    cause = "draining" if drains else "client_left"
    assert [line["cause"] for line in found] == [cause] * 3
    assert sorted(line["status"] or 0 for line in found) == [0, 0, 200]
    assert len({line["id"] for line in found}) == 3


async def test_the_administrators_commands_are_logged(start: Start) -> None:
    gateway, lines = await logging_gateway(start, DEAD, admin_port=(admin := free_port()))
    for name, code in (("drain", 200), ("nonsense", 400)):
        got = await say(admin, post(b'{"expert": 0}', path=f"/admin/{name}"))
        assert status(got) == code, got
        line = json.loads(lines.pop())
        assert (line["path"], line["status"]) == (f"/admin/{name}", code)
        assert f"x-request-id: {line['id']}".encode() in got
    assert gateway.server


async def test_a_connection_too_many_is_logged(start: Start) -> None:
    gateway, lines = await logging_gateway(start, DEAD, limits={"connections": 1})
    _, held = await asyncio.open_connection(HOST, gateway.port)
    await asyncio.sleep(0.05)
    got = await say(gateway.port, post(CHAT, path="/v1/chat/completions"))
    held.close()
    [line] = map(json.loads, lines)
    assert (line["status"], line["cause"], line["path"]) == (503, "connections", None)
    require_dialect(json.loads(got.partition(b"\r\n\r\n")[2])["error"], 503, openai=True)


async def test_what_is_read_by_get_has_an_id_and_a_line(start: Start) -> None:
    async with answering(ONE).serving() as url:
        gateway, lines = await logging_gateway(start, url)
        paths = [path for path, item in openapi.document()["paths"].items() if "get" in item]
        for path in (*paths, *(path.decode() for path in UNLOGGED)):
            async with gateway.client.get(path, headers={"x-request-id": "mine"}) as response:
                assert (response.status, response.headers["x-request-id"]) == (200, "mine")
    logged = [(line["path"], line["id"], line["status"]) for line in map(json.loads, lines)]
    assert logged == [("/v1/models", "mine", 200), ("/openapi.json", "mine", 200)]
