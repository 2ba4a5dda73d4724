"""The gateway as an aiohttp application."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web, web_response
from aiohttp.http_exceptions import HttpProcessingError

from er.config import Policy
from er.errors import ErError
from er.gateway.paths import GENERATE_PATH, METRICS_PATH, READY_PATH
from er.gateway.simple import control, relay
from er.gateway.simple.state import State
from er.routing.policies import Choose

BODY_BYTES_AT_MOST = 16 * 2**20
CONNECT_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 2.0
BACKLOG = 4096
# Clients need not know which versions this runs on.
web_response.SERVER_SOFTWARE = "er"  # type: ignore[attr-defined]
NOT_SENT = ("Accept-Encoding", "User-Agent")  # what an expert gets is what the client has sent


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve `app` for as long as the block lasts; the port that was opened, `port` unless it is 0.

    Raises ErError when the port cannot be opened.
    """
    # Without handler_cancellation an expert would go on generating for a client that has left.
    # Compressed bodies are refused: a small one may hold gigabytes.
    runner = web.AppRunner(
        app,
        handler_cancellation=True,
        access_log=None,
        logger=_logger(app),
        auto_decompress=False,
        shutdown_timeout=STOP_TIMEOUT_S,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=BACKLOG).start()
        yield runner.addresses[0][1]
    except OSError as error:
        raise ErError(
            f"port {port} of {host} cannot be opened ({error.strerror}): "
            "stop what uses it, or choose another"
        ) from error
    finally:
        await runner.cleanup()


def application(
    policy: Policy, choose: Choose, experts: list[str], in_flight_at_most: int
) -> web.Application:
    """The gateway before `experts`: generate_stream URLs, by the numbers that `choose` returns."""
    app = web.Application(client_max_size=BODY_BYTES_AT_MOST)

    async def with_state(app: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
            auto_decompress=False,
            skip_auto_headers=NOT_SENT,
        ) as session:
            app[relay.STATE] = State(policy, choose, experts, session, in_flight_at_most)
            yield

    app.cleanup_ctx.append(with_state)
    app.router.add_post(GENERATE_PATH, relay.generate_stream)
    app.router.add_get(READY_PATH, control.ready)
    app.router.add_get(METRICS_PATH, control.metrics)
    return app


def _logger(app: web.Application) -> logging.Logger:
    """aiohttp's log, in which a request that is no HTTP is counted, not described at length."""
    logger = logging.Logger("er.gateway.aiohttp")
    logger.parent = logging.getLogger("aiohttp.server")

    def is_fault(record: logging.LogRecord) -> bool:
        problem = record.exc_info[1] if record.exc_info else None
        if not isinstance(problem, HttpProcessingError):
            return True
        app[relay.STATE].count_error("bad_request")
        return False

    logger.addFilter(is_fault)
    return logger
