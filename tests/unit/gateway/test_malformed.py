"""What is no proper request is refused by one line, and nothing else notices."""

import asyncio
import logging

import pytest

from er.gateway.fast.request_head import path_of
from tests.unit.gateway.conftest import Start, event
from tests.unit.gateway.raw import BODY, END, HEAD, PATH, answering, chunk, post, say, status

ONE = HEAD + chunk(event("one")) + END
CHUNKED = f"POST {PATH} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n".encode()
BOTH = (
    f"POST {PATH} HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n"
).encode()
MALFORMED = {
    "both lengths": (BOTH + b"0\r\n\r\n", 400),
    "two lengths": (post(BODY, "content-length: 1"), 400),
    "a signed length": (b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: +3\r\n\r\nabc", 400),
    "a negative chunk": (CHUNKED + b"-5\r\nabc\r\n", 400),
    "a huge chunk size": (CHUNKED + b"ffffffffffffffffff\r\n", 400),
    "another encoding": (post(BODY, "transfer-encoding: gzip, chunked"), 400),
    "obs-fold": (post(BODY, "x: a\r\n b"), 400),
    "NUL in a header": (post(BODY, "x: a\0b"), 400),
    "a space before the colon": (post(BODY, "x : a"), 400),
    "bare LF": (b"GET /health HTTP/1.1\nhost: h\n\n", 400),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/3": (b"GET / HTTP/3.0\r\nhost: h\r\n\r\n", 400),
    "no host": (b"GET /health HTTP/1.1\r\n\r\n", 400),
    "two hosts": (post(BODY, "host: i"), 400),
    "an upgrade": (post(BODY, "connection: upgrade", "upgrade: h2c"), 400),
    "CONNECT": (b"CONNECT h:1 HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "a long head": (post(BODY, "x: " + "a" * 40_000), 431),
    "a long target": (post(BODY, path="/" + "a" * 40_000), 431),
    "many headers": (post(BODY, *(f"x{n}: {'a' * 50}" for n in range(2000))), 431),
    "gzip": (post(BODY, "content-encoding: gzip"), 415),
    "an expectation": (post(BODY, "expect: 200-maybe"), 417),
    "nothing there": (post(BODY, path="/nothing"), 404),
    "GET of a prompt's path": (f"GET {PATH} HTTP/1.1\r\nhost: h\r\n\r\n".encode(), 405),
    "a method": (b"DELETE /metrics HTTP/1.1\r\nhost: h\r\n\r\n", 405),
    "deep JSON": (post(b'{"text_input": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"), 400),
    "deep text": (post(b'{"text_input": ' + b"[" * 100_000), 400),
    "a lone surrogate": (post(b'{"text_input": "\\ud800"}'), 400),
    "invalid UTF-8": (post(b'{"text_input": "\xff\xfe"}'), 400),
    "NaN": (post(b'{"text_input": "a", "temperature": NaN}'), 400),
    "a number": (post(b"3"), 400),
    "null": (post(b'{"text_input": null}'), 400),
    "nothing": (post(b""), 400),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_requests(
    start: Start, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    expert = answering(ONE)
    async with expert.serving() as url:
        gateway = await start(urls=[url, url])
        request, right = MALFORMED[name]
        answer = await say(gateway.port, request)
        assert status(answer) == right
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"server:" not in answer.lower()
        assert not expert.received
        assert status(await say(gateway.port, post())) == 200
    assert not [record for record in caplog.records if record.exc_info]
    counted = (await gateway.get("/metrics"))[1]
    assert (
        sum(
            float(line.rsplit(" ", 1)[1])
            for line in counted.splitlines()
            if line.startswith("er_gateway_errors_total")
        )
        == 1
    )


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc",
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    b"SSH-2.0-OpenSSH\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70_000 + b"\r\n\r\n",
])  # fmt: skip
async def test_malformed_answers_are_502(start: Start, answer: bytes) -> None:
    async with answering(answer).serving() as url:
        gateway = await start(urls=[url, url])
        got = await say(gateway.port, post())
    assert status(got) == 502
    assert url.partition("//")[2].partition("/")[0].encode() not in got


@pytest.mark.parametrize("chunks", [b"-5\r\nabc\r\n", b"zz\r\n", b"3\r\nabcdef\r\n", b"1" * 9000])
async def test_bad_chunks_end_with_an_error_event(start: Start, chunks: bytes) -> None:
    async with answering(HEAD + chunk(event("one")) + chunks).serving() as url:
        gateway = await start(urls=[url, url])
        got = await say(gateway.port, post())
    assert got.count(event("one")) == 1
    assert b'data: {"error": "expert' in got
    assert got.endswith(END)


async def test_informational_answers_are_passed_over(start: Start) -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    async with answering(early + ONE).serving() as url:
        gateway = await start(urls=[url, url])
        got = await say(gateway.port, post())
    assert status(got) == 200
    assert got.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_an_answer_may_be_cut_anywhere(start: Start, size: int) -> None:
    from tests.unit.gateway.raw import RawExpert

    async def answer(writer: asyncio.StreamWriter) -> bool:
        whole = HEAD + chunk(event("one")) + b"00A;x=y\r\n0123456789\r\n" + END
        for at in range(0, len(whole), size):
            writer.write(whole[at : at + size])
            await writer.drain()
            await asyncio.sleep(0)
        return True

    async with RawExpert(answer).serving() as url:
        gateway = await start(urls=[url, url])
        for _ in range(2):
            async with gateway.ask("court") as response:
                assert await response.read() == event("one") + b"0123456789"


async def test_pipelined_requests_are_answered_in_order(start: Start) -> None:
    async with answering(ONE).serving() as url:
        gateway = await start(urls=[url, url])
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(post() * 20 + b"GET /health HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
        got = await asyncio.wait_for(reader.read(-1), 10)
        writer.close()
    assert got.count(b"HTTP/1.1 200 OK") == 21
    assert got.count(event("one")) == 20
    assert got.endswith(b'{"status": "ok"}')


async def test_answers_that_take_long_keep_their_order(start: Start) -> None:
    async with answering(ONE).serving() as url:
        gateway = await start(urls=[url, url])
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        gets = [
            b"GET /ready HTTP/1.1\r\nhost: h\r\n\r\n",
            b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n",
        ]
        writer.write(b"".join(gets) + post() + b"no HTTP\r\n\r\n")
        got = await asyncio.wait_for(reader.read(-1), 10)
        writer.close()
    ready, health, one = got.index(b"experts"), got.index(b"status"), got.index(event("one"))
    refused = got.index(b"HTTP/1.1 400 ")  # what comes after them, in its turn
    assert ready < health < one < refused
    assert got.endswith(b"}}")


async def test_an_error_for_head_has_no_body_that_is_taken_for_the_next_answer(
    start: Start,
) -> None:
    gateway = await start(urls=["http://h:1/v1"] * 2)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    for path in ("/nothing", PATH, "/v1/models", "/health"):
        writer.write(f"HEAD {path} HTTP/1.1\r\nhost: h\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert b"content-length: 0" not in head
    writer.write(b"GET /health HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
    got = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert got.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(("target", "path"), [
    (b"/v1/models?a=b", b"/v1/models"), (b"http://h/v1/models", b"/v1/models"), (b"http://h", b"/"),
    (b"", b""), (b"*", b""), (b"h:80", b""),
])  # fmt: skip
def test_only_what_is_a_path_is_called_one(target: bytes, path: bytes) -> None:
    assert path_of(target) == path


async def test_http_1_0_gets_no_chunks(start: Start) -> None:
    async with answering(ONE).serving() as url:
        gateway = await start(urls=[url, url])
        got = await say(gateway.port, post().replace(b"HTTP/1.1", b"HTTP/1.0"))
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert body == event("one")


@pytest.mark.parametrize("body", [
    post(b'{"text_input": "' + b"a" * 2000 + b'"}'),
    CHUNKED + chunk(b"a" * 600) + chunk(b"a" * 600),
])  # fmt: skip
async def test_a_body_beyond_the_bound_is_413(start: Start, body: bytes) -> None:
    async with answering(ONE).serving() as url:
        gateway = await start(urls=[url, url], limits={"body_bytes": 1024})
        got = await say(gateway.port, body)
        assert status(got) == 413
        assert b"connection: close" in got
        inside = b'{"text_input": "' + b"a" * 980 + b'"}'
        assert status(await say(gateway.port, post(inside))) == 200


async def test_uploads_have_a_bound_together(start: Start) -> None:
    async with answering(ONE).serving() as url:
        gateway = await start(
            urls=[url, url], limits={"buffered_bytes": 3_000_000, "body_bytes": 1_000_000}
        )
        held = []
        for _ in range(3):  # a megabyte is announced, and not sent
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(post(b"a" * 1_000_000)[:200])
            held.append((reader, writer))
        await asyncio.sleep(0.05)
        got = await say(gateway.port, post())
        assert status(got) == 429
        assert b"retry-after: 1\r\n" in got
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.05)
        assert status(await say(gateway.port, post())) == 200


@pytest.mark.parametrize("code", [201, 204, 302, 304])
async def test_a_status_without_a_body_gets_none(start: Start, code: int) -> None:
    answer = f"HTTP/1.1 {code} X\r\ncontent-length: 0\r\n\r\n".encode()
    async with answering(answer).serving() as url:
        gateway = await start(urls=[url, url])
        prompt = b'{"prompt": "court", "max_tokens": 1}'
        translated = await say(gateway.port, post(prompt, path="/v1/completions"))
        assert status(translated) == 502
        assert b"no event stream" in translated or b"no reason" in translated
        health = b"GET /health HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(post() + health)
        got = await asyncio.wait_for(reader.read(-1), 10)
        writer.close()
        head, _, rest = got.partition(b"\r\n\r\n")
        assert status(head) == code
        assert (b"content-length: 0" in head) is (code != 204)
        assert rest.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("head", "body", "code", "passed_on"),
    [
        (
            b"HTTP/1.1 400 Bad\r\n",
            b'data: {"error": "8001 input tokens: too many"}\n\n',
            400,
            b'"message": "8001 input tokens: too many"',
        ),
        (b"HTTP/1.1 307 Go\r\nlocation: http://h/v1\r\n", b"", 307, b"location: http://h/v1"),
    ],
    ids=["an error that Triton writes as an event", "a redirect"],
)
async def test_a_refusal_is_passed_on_with_what_it_says(
    head: bytes, body: bytes, code: int, passed_on: bytes, start: Start
) -> None:
    async with answering(
        b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)
    ).serving() as url:
        gateway = await start(urls=[url, url])
        prompt = b'{"prompt": "court", "max_tokens": 1}'
        translated = await say(gateway.port, post(prompt, path="/v1/completions"))
        assert status(translated) == code
        assert passed_on in translated
