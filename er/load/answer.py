"""What is sent, and how an answer that is no stream of tokens is named, so that it counts."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from er.results.request import Endpoint, Prompt

EXPERT_HEADER = "x-er-expert"
EXPERT_DIGITS = 6
EVENT_STREAM = "text/event-stream"
OPENAI_END = b"[DONE]"
NO_END = -1  # an end_id that no model has: its answer ends at max_tokens
MESSAGE_AT_MOST = 200  # characters of a server's own message
ANSWER_AT_MOST = 64 << 20  # bytes
TOO_LONG = f"an answer of more than {ANSWER_AT_MOST >> 20} MiB"


class BadAnswerError(Exception):
    """The server answered, and not with a stream of tokens; the text is the cause."""


class CutError(BadAnswerError):
    """What came is right, and not all of an answer."""


def encode_body(endpoint: Endpoint, prompt: Prompt) -> bytes:
    """What a prompt asks for: as Triton's generate_stream takes it, or OpenAI's completions.

    The dialect follows from the endpoint's path. Unless the prompt lets the model end by itself,
    the answer's length is forced: in Triton's contract by an end token that no model has, as
    TensorRT-LLM does for `ignore_eos`; OpenAI's has no word for it, but vLLM, SGLang and
    trtllm-serve take `ignore_eos`.
    """
    path = urlsplit(endpoint.url).path
    fields: dict[str, object] = {"max_tokens": prompt.output_tokens, "stream": True}
    if path.endswith("completions"):
        fields["stream_options"] = {"include_usage": True}  # to hold our count against the server's
    if path.endswith("/chat/completions"):
        fields |= {"model": endpoint.model, "messages": [{"role": "user", "content": prompt.text}]}
    elif path.endswith("/completions"):
        fields |= {"model": endpoint.model, "prompt": prompt.text}
    else:
        fields |= {"text_input": prompt.text} | ({} if prompt.stop_at_eos else {"end_id": NO_END})
        return json.dumps(fields).encode()
    if not prompt.stop_at_eos:
        fields["ignore_eos"] = True
    return json.dumps(fields).encode()


def require_event_stream(status: int, headers: Mapping[str, str], start: bytes) -> None:
    """Raise BadAnswerError for an answer that is no event stream; `start` begins its body."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise BadAnswerError(f"content encoding {shorten(encoding)}: identity was asked for")
    detail = describe_error_body(start)
    if status != 200:
        place = headers.get("location", "")
        if 300 <= status < 400 and place:
            detail = f"moved to {shorten(place)}"
        if status == 401:
            detail = f"{detail}{': ' if detail else ''}set ER_API_KEY, or load.headers"
        raise BadAnswerError(f"HTTP {status}" + (f": {detail}" if detail else ""))
    kind = parse_content_type(headers)
    if kind != EVENT_STREAM:
        kind = shorten(kind) or "missing"
        raise BadAnswerError(f"content type {kind} is no event stream: {detail}")


def parse_content_type(headers: Mapping[str, str]) -> str:
    """The type of a body, without parameters; empty where none is given."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def parse_expert(header: str) -> int:
    """Index of the expert that the gateway names; -1 without one."""
    return int(header) if header.isdecimal() and len(header) <= EXPERT_DIGITS else -1


def shorten(message: object) -> str:
    """A server's message, cut to one line."""
    try:
        text = message.decode(errors="replace") if isinstance(message, bytes) else str(message)
    except RecursionError:
        text = "deeply nested JSON"
    return replace_surrogates(" ".join(text[: 8 * MESSAGE_AT_MOST].split())[:MESSAGE_AT_MOST])


def replace_surrogates(text: str) -> str:
    """Text without halves of surrogate pairs, which JSON can hold and no file."""
    return text.encode(errors="replace").decode()


def describe_error_fields(fields: Any) -> str:
    """The message of an error of any shape."""
    for _ in range(3):
        if not isinstance(fields, dict):
            break
        names = [name for name in ("error", "message", "detail") if fields.get(name)]
        if not names:
            break
        fields = fields[names[0]]
    return shorten(fields)


def describe_error_body(start: bytes) -> str:
    """The server's own message in an error body, which may be an event."""
    try:
        fields = json.loads(start.strip().removeprefix(b"data:"))
    except (ValueError, RecursionError):
        return shorten(start)
    return describe_error_fields(fields) if isinstance(fields, dict) else shorten(start)
