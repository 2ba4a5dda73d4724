"""Both clients of HTTP, fed the bytes of an answer piece by piece, without a network."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from er.load import http
from er.load.answer import BadAnswerError
from er.load.client import Client
from er.results.request import Endpoint, Request
from tests.unit.load.fakes import prompt

Deliver = Callable[[str, Sequence[bytes], int], Request]  # path, pieces, tokens asked for


def by_sockets(_: str, pieces: Sequence[bytes], tokens: int) -> Request:
    """What load.client=sockets makes of an answer that comes in `pieces` and then ends."""
    request = request_for(tokens)
    answer = http.Answer()
    try:
        for piece in pieces:
            answer.feed(piece, time.monotonic())
            if answer.done:
                break
        else:
            answer.close()
    except BadAnswerError as error:
        request.error = str(error)
    request.end_s = time.monotonic()
    http.complete(request, answer)
    return request


def by_aiohttp(path: str, pieces: Sequence[bytes], tokens: int) -> Request:
    """What load.client=aiohttp makes of an answer that comes in `pieces` and then ends."""
    return asyncio.run(_by_aiohttp(path, pieces, tokens))


async def _by_aiohttp(path: str, pieces: Sequence[bytes], tokens: int) -> Request:
    request = request_for(tokens)
    endpoint = Endpoint(f"http://127.0.0.1{path}", "fake")
    async with aiohttp.ClientSession(
        connector=Connector(pieces), auto_decompress=False, timeout=aiohttp.ClientTimeout()
    ) as session:
        await Client(session, timeout_s=60).send(endpoint, prompt(output_tokens=tokens), request)
    return request


def request_for(tokens: int) -> Request:
    """A request for so many tokens."""
    return Request(1, 0, 0, False, "t", 1, tokens, send_s=time.monotonic())


class Connector(aiohttp.BaseConnector):
    """Connections on which every request is answered with `pieces`."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        super().__init__(force_close=True)
        self._pieces = pieces

    async def _create_connection(self, *_: Any) -> ResponseHandler:
        protocol = ResponseHandler(asyncio.get_running_loop())
        protocol.connection_made(Transport(protocol, self._pieces))
        return protocol


class Transport(asyncio.Transport):
    """Takes a request, and hands over the pieces, a turn of the loop each."""

    def __init__(self, protocol: ResponseHandler, pieces: Sequence[bytes]) -> None:
        super().__init__()
        self._protocol = protocol
        self._pieces = list(reversed(pieces))
        self._begun = self._closed = self._paused = False

    def write(self, _: Any) -> None:
        if not self._begun:
            self._begun = True
            self._later()

    def writelines(self, _: Any) -> None:
        self.write(b"")

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            self._later()

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    abort = close

    def _later(self) -> None:
        asyncio.get_running_loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        if self._closed or self._paused:
            return
        if self._pieces:
            self._protocol.data_received(self._pieces.pop())
            self._later()
        else:
            self._protocol.eof_received()
            self.close()
