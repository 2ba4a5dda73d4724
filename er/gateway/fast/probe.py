"""An inference of one token that proves an expert ready; a dead model can look alive otherwise."""

import asyncio
import json
from typing import TYPE_CHECKING

from er.gateway import descriptors
from er.gateway.fast.framing import Chunks, FramingError
from er.gateway.fast.heads import AnswerHead, BadHeadError, answer_head
from er.gateway.fast.replica import OPENAI

if TYPE_CHECKING:
    from er.gateway.fast.replica import Replica

ANSWER_AT_MOST = 65536
DISCOVER_S = 5.0
FAILURES = (OSError, EOFError, BadHeadError, FramingError, asyncio.LimitOverrunError)


async def infer(replica: "Replica", timeout_s: float) -> str:
    """What is wrong with an expert; empty when it answers."""
    try:
        async with asyncio.timeout(timeout_s):
            status, content = await _infer(replica)
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except FAILURES as error:
        why = descriptors.describe_shortage(error)
        return why or f"cannot be reached ({type(error).__name__})"
    if status != 200:
        if status == 404:  # it may have another model by now
            replica.model = ""
        return f"HTTP {status}"
    # Triton reports errors within an answer of status 200.
    if b'"error"' in content:
        return "an error in its answer"
    # A server that answers anything on any path is no expert.
    word = "choices" if replica.dialect == OPENAI else "text_output"
    return "" if b'"%b"' % word.encode() in content else f"no {word} in its answer"


async def discover_model(replica: "Replica", timeout_s: float) -> None:
    """Learn what an OpenAI-compatible expert calls its model; empty where it does not say."""
    try:
        async with asyncio.timeout(timeout_s):
            _, content = await _exchange(replica, replica.models_request())
        replica.model = str(json.loads(content)["data"][0]["id"])
    except (TimeoutError, *FAILURES, ValueError, LookupError, TypeError):
        return


async def _infer(replica: "Replica") -> tuple[int, bytes]:
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


async def _exchange(replica: "Replica", request: bytes) -> tuple[int, bytes]:
    """Status and content of the answer. Raises one of FAILURES."""
    reader, writer = await asyncio.open_connection(replica.host, replica.port)
    try:
        writer.write(request)
        head = answer_head(await reader.readuntil(b"\r\n\r\n"))
        while head.status < 200:
            head = answer_head(await reader.readuntil(b"\r\n\r\n"))
        return head.status, await _content(reader, head)
    finally:
        writer.close()


async def _content(reader: asyncio.StreamReader, head: AnswerHead) -> bytes:
    """An answer's content by its own framing, up to ANSWER_AT_MOST bytes."""
    if head.length >= 0:
        return await reader.readexactly(min(head.length, ANSWER_AT_MOST))
    content, chunks = b"", Chunks()
    while len(content) < ANSWER_AT_MOST and not chunks.ended:
        piece = await reader.read(ANSWER_AT_MOST)
        if not piece:
            if head.chunked:
                raise EOFError("the answer is cut")
            break
        content += b"".join(chunks.feed(piece)) if head.chunked else piece
    return content
