"""The kinds on aiohttp: what is no request, and what is no answer, ends in one line for each."""

import logging

import pytest

from tests.unit.gateway.conftest import Start
from tests.unit.gateway.raw import HEAD, answering, chunk, post, say, status
from tests.unit.gateway.test_malformed import MALFORMED, ONE

TAKEN = {"an upgrade": 200, "a lone surrogate": 200, "NaN": 200}  # by aiohttp and json
ANSWERS = {
    "both lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "a negative length": b"HTTP/1.1 200 OK\r\ncontent-length: -4\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n"
    b"connection: upgrade\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "NUL in a header": b"HTTP/1.1 200 OK\r\nx: \0\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 99 x\r\ncontent-length: 0\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 5000 + b"\r\n",
    "a long reason": b"HTTP/1.1 200 " + b"A" * 100_000 + b"\r\n\r\n",
    "a bad chunk first": HEAD + b"zz\r\n",
    "nothing": b"",
}


@pytest.fixture
def kind() -> str:
    return "aiohttp"


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_requests(
    start: Start, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    expert = answering(ONE)
    async with expert.serving() as url:
        gateway = await start(urls=[url, url])
        request, _ = MALFORMED[name]
        answer = await say(gateway.port, request)
        code = int(answer.split(b" ", 2)[1])  # of HTTP/1.0 where it is no request
        assert code == TAKEN.get(name, code)
        assert 400 <= code < 500 or name in TAKEN
        assert b"aiohttp" not in answer
        assert b"Python" not in answer
        assert bool(expert.received) is (name in TAKEN)
        assert status(await say(gateway.port, post())) == 200
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("name", ANSWERS)
async def test_malformed_answers_are_502(
    start: Start, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with answering(ANSWERS[name], goes_on=False).serving() as url:
        gateway = await start(urls=[url, url])
        answer = await say(gateway.port, post())
        assert status(answer) == 502
        assert url.encode() not in answer
        assert b"127.0.0.1" not in answer
        assert b"object at" not in answer
    assert not [record for record in caplog.records if record.exc_info]


async def test_what_an_answer_says_of_itself_is_passed_on(start: Start) -> None:
    sent = (
        b"HTTP/1.1 303 See Other\r\nlocation: http://h/other\r\nretry-after: 7\r\n"
        b"content-encoding: gzip\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nno"
    )
    expert = answering(sent)
    async with expert.serving() as url:
        gateway = await start(urls=[url, url])
        answer = (await say(gateway.port, post())).lower()
        assert answer.startswith(b"http/1.1 303 ")  # a redirect is the client's to follow
        for line in (b"location: http://h/other", b"retry-after: 7", b"content-encoding: gzip"):
            assert line in answer
        assert chunk(b"no") in answer
        assert b"accept-encoding" not in expert.received[0].lower()
        assert b"aiohttp" not in expert.received[0]
