"""An inference of one token that proves an expert ready; a dead model can look alive otherwise."""

import asyncio
import json
from typing import TYPE_CHECKING

from er.gateway.fast.replica import OPENAI

if TYPE_CHECKING:
    from er.gateway.fast.replica import Replica

ANSWER_AT_MOST = 65536
DISCOVER_S = 5.0


async def infer(replica: "Replica", timeout_s: float) -> str:
    """What is wrong with an expert; empty when it answers."""
    try:
        async with asyncio.timeout(timeout_s):
            answer = await _ask(replica)
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except (OSError, EOFError) as error:
        return f"cannot be reached ({type(error).__name__})"
    head, _, content = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    if status != [b"200"]:
        return f"HTTP {b''.join(status).decode(errors='replace')}"
    # Triton tells errors within an answer of status 200.
    return "an error in its answer" if b'"error"' in content else ""


async def discover_model(replica: "Replica", timeout_s: float) -> None:
    """Learn what an OpenAI-compatible expert calls its model; unknown where it does not tell."""
    try:
        async with asyncio.timeout(timeout_s):
            answer = await _exchange(replica, replica.models_request())
        _, _, content = answer.partition(b"\r\n\r\n")
        content = content[content.index(b"{") : content.rindex(b"}") + 1]  # chunked or not
        replica.model = str(json.loads(content)["data"][0]["id"])
    except (TimeoutError, OSError, ValueError, LookupError, TypeError):
        return


async def _ask(replica: "Replica") -> bytes:
    if replica.dialect == OPENAI:
        if not replica.model:
            await discover_model(replica, DISCOVER_S)
        action = "completions"
        fields = {"model": replica.model, "prompt": "ready?", "max_tokens": 1}
    else:
        action = "generate_stream"
        fields = {"text_input": "ready?", "max_tokens": 1, "stream": True}
    body = json.dumps(fields).encode()
    head = b"content-type: application/json\r\nconnection: close\r\n"
    length = b"content-length: %d\r\n\r\n" % len(body)
    return await _exchange(replica, b"".join((replica.start(action), head, length, body)))


async def _exchange(replica: "Replica", request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(replica.host, replica.port)
    try:
        writer.write(request)
        answer = b""
        while len(answer) < ANSWER_AT_MOST and (piece := await reader.read(ANSWER_AT_MOST)):
            answer += piece
            if answer.endswith(b"0\r\n\r\n"):
                break
        return answer
    finally:
        writer.close()
