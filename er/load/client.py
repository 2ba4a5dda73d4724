"""The client that sends streamed requests with aiohttp."""

import asyncio
import errno
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from types import SimpleNamespace
from urllib.parse import urljoin

import aiohttp

from er.load import answer, credentials, retries, tokens
from er.load.addresses import CONNECT_TIMEOUT_S
from er.load.answer import BadAnswerError
from er.load.events import EventReader
from er.load.http import BROKEN_CHUNKS, REFUSAL_AT_MOST
from er.results.request import Endpoint, Prompt, Request

HEALTH_PATH = "/v2/health/live"
KEEPALIVE_S = 3600  # longer than any point
HEADERS = {
    "content-type": "application/json",
    "accept": answer.EVENT_STREAM,
    "accept-encoding": "identity",
}


@dataclass(frozen=True)
class Client:
    """Sends prompts to endpoints over persistent connections."""

    session: aiohttp.ClientSession
    timeout_s: float  # of a whole request

    async def connect(self, endpoint: Endpoint, connections: int) -> None:
        """Open connections before the clock starts; errors show when requests are sent."""
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
        body = answer.encode_body(endpoint, prompt)
        events: list[bytes] = []
        times_s: list[float] = []
        request.send_s = time.monotonic()
        try:
            async with asyncio.timeout(self.timeout_s):
                await self._stream(endpoint, body, request, events, times_s)
        except TimeoutError:
            request.error = f"timeout after {self.timeout_s:g} s"
        except (aiohttp.ClientError, OSError, BadAnswerError) as error:
            request.error = describe_error(error)
        request.end_s = request.end_s or time.monotonic()
        if request.error and not request.token_times_s:
            with suppress(BadAnswerError):
                tokens.enter_events(events, times_s, request)

    async def _stream(
        self,
        endpoint: Endpoint,
        body: bytes,
        request: Request,
        events: list[bytes],
        times_s: list[float],
    ) -> None:
        """Send the request, and record the events that arrive.

        A server may close a kept connection at any time, even while a request is on its way. If no
        byte of an answer has arrived, the request is sent again on another connection, while its
        clock runs on. It is also sent again when a busy server (429) says so.
        """
        while True:
            kept: list[bool] = []
            try:
                wait_s = await self._post(endpoint, body, request, events, times_s, kept)
                if wait_s is None:
                    return
                request.retries += 1
                await asyncio.sleep(wait_s)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if request.status or not kept:
                    raise

    async def _post(
        self,
        endpoint: Endpoint,
        body: bytes,
        request: Request,
        events: list[bytes],
        times_s: list[float],
        kept: list[bool],
    ) -> float | None:
        """Send the request once; seconds to wait before it is to be sent again, or None."""
        async with self.session.post(
            endpoint.url,
            data=body,
            headers=HEADERS | credentials.headers(endpoint),
            trace_request_ctx=kept,
            allow_redirects=False,
        ) as response:
            request.status = response.status
            request.expert = answer.parse_expert(response.headers.get(answer.EXPERT_HEADER, ""))
            kind = answer.parse_content_type(response.headers)
            plain = response.headers.get("content-encoding", "identity") == "identity"
            wait_s = retries.wait_s(response.status, response.headers)
            if wait_s is not None:
                return wait_s
            if response.status != 200 or kind != answer.EVENT_STREAM or not plain:
                with _closed_seen(response):
                    start = await response.content.read(REFUSAL_AT_MOST)
                answer.require_event_stream(response.status, response.headers, start)
            reader, size = EventReader(), 0
            with _closed_seen(response):
                async for chunk in response.content.iter_any():
                    now_s = time.monotonic()
                    size += len(chunk)
                    if size > answer.ANSWER_AT_MOST:
                        raise BadAnswerError(answer.TOO_LONG)
                    for event in reader.feed(chunk):
                        events.append(event)
                        times_s.append(now_s)
            request.end_s = time.monotonic()
            framed = not {"content-length", "transfer-encoding"}.isdisjoint(
                name.lower() for name in response.headers
            )
            tokens.enter_stream(reader, events, times_s, request, framed)
            return None


@asynccontextmanager
async def opened(
    timeout_s: float, proxy: str = "", *, tls_verify: bool = True
) -> AsyncIterator[Client]:
    """Open a client, through `proxy` if given, with a connection for each request in flight."""
    connector = aiohttp.TCPConnector(
        limit=0, ttl_dns_cache=None, keepalive_timeout=KEEPALIVE_S, ssl=tls_verify
    )
    no_timeouts = aiohttp.ClientTimeout(total=None, sock_connect=None)
    kept = aiohttp.TraceConfig()
    kept.on_connection_reuseconn.append(_note_kept)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=no_timeouts,
        trace_configs=[kept],
        auto_decompress=False,
        proxy=proxy or None,
    ) as session:
        yield Client(session, timeout_s)


@contextmanager
def _closed_seen(response: aiohttp.ClientResponse) -> Iterator[None]:
    """Fail the reader of an answer when the connection is closed before the answer's end.

    aiohttp 3.14.5 closes the connection at broken chunks, and its reader waits for ever.
    """
    content, connection = response.content, response.connection

    def fail(_: object) -> None:
        if not content.is_eof() and content.exception() is None:
            content.set_exception(BadAnswerError(BROKEN_CHUNKS))

    protocol = None if connection is None else connection.protocol
    closed = None if protocol is None else protocol.closed
    if closed is not None:
        closed.add_done_callback(fail)
    else:
        fail(None)
    try:
        yield
    finally:
        if closed is not None:
            closed.remove_done_callback(fail)


async def _note_kept(_session: object, context: SimpleNamespace, _parameters: object) -> None:
    """Note for `_stream` that the request uses a kept connection."""
    if context.trace_request_ctx is not None:
        context.trace_request_ctx.append(True)


def describe_error(error: Exception) -> str:
    """The cause by which requests are counted that this error ended."""
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
    if isinstance(error, aiohttp.ClientResponseError):  # aiohttp cannot parse the answer
        if "chunk" in error.message.lower():
            return BROKEN_CHUNKS
        return f"not HTTP: {answer.shorten(error.message.partition(':')[0])}"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "connection broke inside the stream"
    return answer.shorten(f"{type(error).__name__}: {error}")
