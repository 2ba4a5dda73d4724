"""The data plane: choose a prompt's expert, then pass its stream on as it arrives."""

import io
import json
import time

import aiohttp
from aiohttp import web

from er.gateway import descriptors
from er.gateway.simple.state import State

STATE = web.AppKey("state", State)
EXPERT_HEADER = "x-er-expert"
POLICY_HEADER = "x-er-policy"
PASSED_ON = ("Content-Type", "Content-Encoding", "Location", "Retry-After")


class Unframed(web.StreamResponse):
    """A body that only its connection's end ends: chunks would make a cut look whole."""

    _length_check = False  # as aiohttp's own web sockets do without chunks


async def generate_stream(request: web.Request) -> web.StreamResponse:
    """Answer one prompt with the stream of the expert that the policy chooses.

    400 for a body that is no prompt, 415 for a compressed one, 429 when too many requests are in
    flight, 503 when the expert cannot be reached or too many files are open here, 502 when it
    breaks off before answering. When the client leaves, aiohttp cancels this coroutine and with it
    the request to the expert.
    """
    state = request.app[STATE]
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        return refusal(state, 415, "bad_request", "bodies are taken without Content-Encoding")
    body = await request.read()
    try:
        text = prompt(body)
    except ValueError as error:
        return refusal(state, 400, "bad_request", str(error))
    in_flight = sum(state.in_flight)
    if in_flight >= state.in_flight_at_most:
        return refusal(state, 429, "overload", f"{in_flight} requests are in flight")
    expert = choose(state, text)
    state.requests[expert] += 1
    state.in_flight[expert] += 1
    try:
        return await relay(request, state, expert, body)
    finally:
        state.in_flight[expert] -= 1


def prompt(body: bytes) -> str:
    """The text of a request. Raises ValueError, saying what is wrong, when there is none."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None
    text = fields.get("text_input") if isinstance(fields, dict) else None
    if not isinstance(text, str):
        raise ValueError("text_input is missing or is not a string")
    return text


def choose(state: State, text: str) -> int:
    """The expert for a text, with the time it took counted."""
    started = time.perf_counter()
    expert = state.choose(text, state.in_flight)
    state.choose_s += time.perf_counter() - started
    return expert


async def relay(request: web.Request, state: State, expert: int, body: bytes) -> web.StreamResponse:
    """Send the body to the expert and its answer, whatever it is, to the client."""
    url, headers = state.experts[expert], {"Content-Type": "application/json"}
    try:
        async with state.session.post(
            url, data=io.BytesIO(body), headers=headers, allow_redirects=False
        ) as answer:
            if answer.status < 200:
                return refusal(state, 502, "bad_answer", f"expert {expert} gave a bad answer")
            framed = not {"content-length", "transfer-encoding"}.isdisjoint(
                name.lower() for name in answer.headers
            )
            response = (web.StreamResponse if framed else Unframed)(
                status=answer.status,
                headers={EXPERT_HEADER: str(expert), POLICY_HEADER: state.policy.value}
                | {"Content-Type": "text/event-stream"}
                | {name: answer.headers[name] for name in PASSED_ON if name in answer.headers},
            )
            if not framed:
                response.force_close()
            await response.prepare(request)
            await pass_on(answer, response, state, expert)
    except aiohttp.ClientConnectorError as error:
        if shortage := descriptors.describe_shortage(error.os_error):
            return refusal(state, 503, "overload", shortage)
        return refusal(state, 503, "unreachable", f"expert {expert} cannot be reached")
    except aiohttp.ClientError:
        return refusal(state, 502, "broken_off", f"expert {expert} did not answer")
    await response.write_eof()
    return response


async def pass_on(
    answer: aiohttp.ClientResponse, response: web.StreamResponse, state: State, expert: int
) -> None:
    """Pass bytes on untouched; an error event tells the client when the expert breaks off."""
    chunk = b""
    try:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
    except aiohttp.ClientPayloadError:
        state.count_error("broken_stream")
        event = json.dumps({"error": f"expert {expert} broke off its stream"})
        gap = "" if not chunk or chunk.endswith(b"\n\n") else "\n\n"
        await response.write(f"{gap}data: {event}\n\n".encode())


def refusal(state: State, status: int, cause: str, message: str) -> web.Response:
    """A counted error answer."""
    state.count_error(cause)
    return web.json_response({"error": message}, status=status)
