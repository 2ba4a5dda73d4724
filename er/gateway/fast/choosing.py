"""Read a request's prompt and choose its expert, long prompts in steps."""

import asyncio
from typing import TYPE_CHECKING

from er.gateway.dialects import openai
from er.gateway.fast import admission, endings
from er.gateway.fast.large_body import LARGE_BYTES, take_apart
from er.gateway.fast.refusal import Refusal

if TYPE_CHECKING:
    from er.gateway.fast.exchange import Exchange


def choose(exchange: "Exchange") -> None:
    """At once, or in a task of its own where that takes long. Raises Refusal."""
    server, request = exchange.server, exchange.request
    if server.keys:
        exchange.user = admission.key_name(server, request)
    if exchange.body_bytes > LARGE_BYTES:
        exchange.opening = server.spawn(_read_in_steps(exchange))
        return
    exchange.prompt, text = admission.prompt(server, request.body, exchange.route)
    limit = server.token_limit
    counted = limit is not None and not limit.surely_holds(text)
    if counted or request.head.explain or len(text) > server.slice_characters:
        exchange.opening = server.spawn(_in_slices(exchange, text))
    else:
        exchange.chosen(server.choose(text))


async def _read_in_steps(exchange: "Exchange") -> None:
    """Let others have their turn between the steps."""
    server, request = exchange.server, exchange.request
    try:
        exchange.large = large = await take_apart(request.body)
        request.body = b""  # all of it is in there
        exchange.prompt, outline = admission.prompt(server, large.outline, exchange.route)
        text = await large.decode(outline)
        admission.require_short(server, text)
        if isinstance(exchange.prompt, openai.Request):
            exchange.prompt.model = await large.decode(exchange.prompt.model)
    except Refusal as refusal:
        exchange.opening = None
        endings.refuse(exchange, refusal)
        return
    except ValueError as error:
        exchange.opening = None
        endings.refuse(exchange, Refusal(400, "bad_request", str(error)))
        return
    await asyncio.sleep(0)
    await _in_slices(exchange, text)


async def _in_slices(exchange: "Exchange", text: str) -> None:
    try:
        await admission.require_few_tokens(exchange.server, text)
    except Refusal as refusal:
        exchange.opening = None
        endings.refuse(exchange, refusal)
        return
    choice, exchange.reason = await exchange.server.choose_in_slices(
        text, explain=exchange.request.head.explain
    )
    exchange.opening = None
    exchange.chosen(choice)
