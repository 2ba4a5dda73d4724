"""One streamed request over aiohttp: what was asked, when every token came, what went wrong."""

import asyncio
import errno
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import aiohttp

from er.load.events import EventReader
from er.results import Endpoint, Prompt, Request

EXPERT_HEADER = "x-er-expert"
HEALTH_PATH = "/v2/health/live"
CONNECT_TIMEOUT_S = 5.0
MESSAGE_AT_MOST = 200  # characters of a server's own words


class BadAnswerError(Exception):
    """The server answered, and not with a stream of tokens; the text is the cause."""


@dataclass(frozen=True)
class Client:
    """Sends prompts to endpoints over connections that stay open."""

    session: aiohttp.ClientSession
    timeout_s: float  # of a whole request

    async def connect(self, endpoint: Endpoint, connections: int) -> None:
        """Open connections before the clock starts. A server that refuses is found out later."""
        url = urljoin(endpoint.url, HEALTH_PATH)
        await asyncio.gather(*(self._touch(url) for _ in range(connections)))

    async def _touch(self, url: str) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S), self.session.get(url) as response:
                await response.read()
        except (aiohttp.ClientError, OSError):
            pass

    async def send(self, endpoint: Endpoint, prompt: Prompt, request: Request) -> None:
        """Send `prompt` and fill in `request`; a fault of the server becomes its error."""
        asked = {
            "text_input": prompt.text,
            "max_tokens": prompt.output_tokens,
            "stream": True,
        }
        body = json.dumps(asked).encode()
        request.send_s = time.monotonic()
        try:
            async with asyncio.timeout(self.timeout_s):
                await self._stream(endpoint.url, body, request)
        except TimeoutError:
            request.error = f"timeout after {self.timeout_s:g} s"
        except (aiohttp.ClientError, OSError, BadAnswerError) as error:
            request.error = cause(error)
        request.end_s = request.end_s or time.monotonic()

    async def _stream(self, url: str, body: bytes, request: Request) -> None:
        headers = {"content-type": "application/json", "accept": "text/event-stream"}
        async with self.session.post(url, data=body, headers=headers) as response:
            request.status = response.status
            request.expert = expert(response.headers.get(EXPERT_HEADER, ""))
            await _refuse_unless_stream(response)
            reader = EventReader()
            texts: list[str] = []
            try:
                async for chunk in response.content.iter_any():
                    now_s = time.monotonic()
                    for event in reader.feed(chunk):
                        take(event, now_s, request, texts)
            finally:
                request.end_s = time.monotonic()
                request.text = "".join(texts)
            if reader.half:
                raise BadAnswerError("the stream ended inside an event")
            if not request.token_times_s:
                raise BadAnswerError("no tokens")


@asynccontextmanager
async def opened(timeout_s: float) -> AsyncIterator[Client]:
    """A client with as many connections as requests in flight."""
    connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=None, keepalive_timeout=3600)
    no_timeouts = aiohttp.ClientTimeout(total=None, sock_connect=None)
    async with aiohttp.ClientSession(connector=connector, timeout=no_timeouts) as session:
        yield Client(session, timeout_s)


def take(event: bytes, now_s: float, request: Request, texts: list[str]) -> None:
    """Enter one event that arrived at `now_s`: every event with a text is one token.

    Raises BadAnswerError when it is the server's error, or not of the contract.
    """
    try:
        fields = json.loads(event)
    except ValueError as error:
        raise BadAnswerError(f"not JSON in an event: {_short(event)}") from error
    if not isinstance(fields, dict):
        raise BadAnswerError(f"not an object in an event: {_short(event)}")
    if "error" in fields:
        raise BadAnswerError(f"server error: {_short(fields['error'])}")
    if "text_output" in fields:
        request.token_times_s.append(now_s)
        texts.append(str(fields["text_output"]))
    request.token_lateness = fields.get("token_lateness", request.token_lateness)


def expert(header: str) -> int:
    """Index of the expert that the gateway names; -1 without one."""
    return int(header) if header.isdecimal() else -1


def cause(error: Exception) -> str:
    """A fault in the words that its requests are counted by."""
    if isinstance(error, BadAnswerError):
        return str(error)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "host name not found"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return "TLS failed"
    if isinstance(error, OSError) and error.errno == errno.ECONNREFUSED:
        return "connection refused"
    if isinstance(error, ConnectionResetError):
        return "connection reset"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "connection closed before an answer"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "connection broke inside the stream"
    return _short(f"{type(error).__name__}: {error}")


async def _refuse_unless_stream(response: aiohttp.ClientResponse) -> None:
    """Raise BadAnswerError unless events are to come."""
    if response.status == 200 and response.content_type == "text/event-stream":
        return
    body = await response.content.read(4096)
    said = _said(body)
    if response.status != 200:
        raise BadAnswerError(f"HTTP {response.status}" + (f": {said}" if said else ""))
    raise BadAnswerError(f"content type {response.content_type} is no event stream: {said}")


def _said(body: bytes) -> str:
    """The server's own words in an error body, in one line."""
    try:
        fields: Any = json.loads(body)
    except ValueError:
        fields = None
    if isinstance(fields, dict) and "error" in fields:
        return _short(fields["error"])
    return _short(body)


def _short(said: object) -> str:
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return " ".join(text.split())[:MESSAGE_AT_MOST]
