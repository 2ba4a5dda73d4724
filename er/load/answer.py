"""What a server's answer means: tokens, or the cause of a failure in words to count by."""

import json
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from er.results.request import Endpoint, Prompt, Request

EXPERT_HEADER = "x-er-expert"
EVENT_STREAM = "text/event-stream"
OPENAI_END = b"[DONE]"
NO_END = -1  # an end_id that no model has: its answer ends at max_tokens
MESSAGE_AT_MOST = 200  # characters of a server's own words


class BadAnswerError(Exception):
    """The server answered, and not with a stream of tokens; the text is the cause."""


def body(endpoint: Endpoint, prompt: Prompt) -> bytes:
    """What a prompt asks for: as Triton's generate_stream takes it, or OpenAI's completions.

    The dialect follows from the endpoint's path. Unless the prompt lets the model end by itself,
    the answer's length is forced: in Triton's contract by an end token that no model has, as
    TensorRT-LLM does for `ignore_eos`; OpenAI's has no word for it, but vLLM, SGLang and
    trtllm-serve take `ignore_eos`.
    """
    path = urlsplit(endpoint.url).path
    asked: dict[str, object] = {"max_tokens": prompt.output_tokens, "stream": True}
    if path.endswith("/chat/completions"):
        asked |= {"model": endpoint.model, "messages": [{"role": "user", "content": prompt.text}]}
    elif path.endswith("/completions"):
        asked |= {"model": endpoint.model, "prompt": prompt.text}
    else:
        asked |= {"text_input": prompt.text} | ({} if prompt.stop_at_eos else {"end_id": NO_END})
        return json.dumps(asked).encode()
    if not prompt.stop_at_eos:
        asked["ignore_eos"] = True
    return json.dumps(asked).encode()


def enter(events: Sequence[bytes], times_s: Sequence[float], request: Request) -> None:
    """Enter events and when they arrived: every event with a text is one token.

    Triton's text may be empty, where a token is part of a character. An empty last one is a token
    only where it is the last that was asked for: before, it tells that the model has ended, and
    after, that the answer has. OpenAI's empty pieces only open or close a message.

    Raises BadAnswerError, after what came before it was entered, at an event that is the server's
    error or not of the contract, and when there is no token.
    """
    if events and events[-1] == OPENAI_END:
        events, times_s = events[:-1], times_s[:-1]
    enter_fields(_decoded(events), times_s, request)


def enter_fields(events: Iterable[Any], times_s: Sequence[float], request: Request) -> None:
    """Enter events whose fields are known. Raises as `enter`."""
    texts: list[str] = []
    try:
        for fields, time_s in zip(events, times_s, strict=True):
            if not isinstance(fields, dict):
                raise BadAnswerError(f"not an object in an event: {short(fields)}")
            if fields.get("error"):
                raise BadAnswerError(f"server error: {short(fields['error'])}")
            text = fields.get("text_output")
            if text is None and "choices" in fields:
                text = _openai_text(fields["choices"])
            if text is not None:
                request.token_times_s.append(time_s)
                texts.append(str(text))
            if "token_lateness" in fields:
                late = fields["token_lateness"]
                # Triton writes a list of one as a plain number.
                request.token_lateness = late if isinstance(late, list) else [late]
        if texts and not texts[-1] and len(texts) != request.max_tokens:
            texts.pop()
            request.token_times_s.pop()
    finally:
        request.text = "".join(texts)
    if not texts:
        raise BadAnswerError("no tokens")


def _openai_text(choices: Any) -> str | None:
    """The piece of text in an event of OpenAI's completions; None without one."""
    try:
        choice = choices[0]
        text = choice["delta"].get("content") if "delta" in choice else choice["text"]
    except (LookupError, TypeError, AttributeError):
        return None
    return str(text) if text else None


def refuse(status: int, content_type: str, start: bytes) -> None:
    """Raise BadAnswerError for an answer that is no event stream; `start` is what it says."""
    said = _said(start)
    if status != 200:
        raise BadAnswerError(f"HTTP {status}" + (f": {said}" if said else ""))
    if content_type != EVENT_STREAM:
        raise BadAnswerError(f"content type {content_type or 'missing'} is no event stream: {said}")


def expert(header: str) -> int:
    """Index of the expert that the gateway names; -1 without one."""
    return int(header) if header.isdecimal() else -1


def short(said: object) -> str:
    """A server's words, cut to one line."""
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return " ".join(text.split())[:MESSAGE_AT_MOST]


def _decoded(events: Sequence[bytes]) -> Iterable[Any]:
    """The JSON of all events: at once, which is several times faster, unless one is broken."""
    try:
        decoded: list[Any] = json.loads(b"[" + b",".join(events) + b"]")
        if len(decoded) == len(events):
            return decoded
    except ValueError:
        pass
    return map(_decode, events)


def _decode(event: bytes) -> Any:
    try:
        return json.loads(event)
    except ValueError as error:
        raise BadAnswerError(f"not JSON in an event: {short(event)}") from error


def _said(start: bytes) -> str:
    """The server's own words in an error body, which may be an event."""
    try:
        fields = json.loads(start.strip().removeprefix(b"data:"))
    except ValueError:
        fields = None
    if isinstance(fields, dict) and "error" in fields:
        return short(fields["error"])
    return short(start)
