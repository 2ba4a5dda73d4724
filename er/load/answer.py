"""The body of a request in each dialect, and the cause of an answer that is not a token stream."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from er.results.request import Endpoint, Prompt

EXPERT_HEADER = "x-er-expert"
EXPERT_DIGITS = 6
EVENT_STREAM = "text/event-stream"
OPENAI_END = b"[DONE]"
NO_END = -1  # an end_id that no model has: an answer then has max_tokens tokens
MESSAGE_AT_MOST = 200  # characters that are kept of a server's message
ANSWER_AT_MOST = 64 << 20  # bytes
ERROR_DEPTH = 3  # levels of nesting of an error's message
TOO_LONG = f"an answer of more than {ANSWER_AT_MOST >> 20} MiB"


class BadAnswerError(Exception):
    """The server answered with something else than a stream of tokens; the text is the cause."""


class CutError(BadAnswerError):
    """The answer is valid as far as it goes, but it is not complete."""


def encode_body(endpoint: Endpoint, prompt: Prompt) -> bytes:
    """The body of a request in JSON, for Triton's generate_stream or OpenAI's completions.

    The path of the endpoint decides the dialect. Unless the model may end the answer, its length is
    forced: for Triton by an end token that no model has, as TensorRT-LLM does for `ignore_eos`; for
    OpenAI's API, which has no such field, by `ignore_eos` of vLLM, SGLang and trtllm-serve.
    """
    path = urlsplit(endpoint.url).path
    fields: dict[str, object] = {"max_tokens": prompt.output_tokens, "stream": True}
    if path.endswith("completions"):
        fields["stream_options"] = {"include_usage": True}  # to compare our count
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
    """Raise BadAnswerError for an answer that is not an event stream; `start` begins its body."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise BadAnswerError(f"content encoding {shorten(encoding)}: identity was requested")
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
        raise BadAnswerError(f"content type {kind} is not an event stream: {detail}")


def parse_content_type(headers: Mapping[str, str]) -> str:
    """The content type of a body without parameters, in lower case; empty if there is none."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def parse_expert(header: str) -> int:
    """Index of the expert in the gateway's header; -1 when there is none."""
    return int(header) if header.isdecimal() and len(header) <= EXPERT_DIGITS else -1


def shorten(message: object) -> str:
    """A server's message, cut to one line."""
    try:
        text = message.decode(errors="replace") if isinstance(message, bytes) else str(message)
    except RecursionError:
        text = "deeply nested JSON"
    return replace_surrogates(" ".join(text[: 8 * MESSAGE_AT_MOST].split())[:MESSAGE_AT_MOST])


def replace_surrogates(text: str) -> str:
    """Text without unpaired surrogates, which JSON can hold but UTF-8 cannot."""
    return text.encode(errors="replace").decode()


def describe_error_fields(fields: Any) -> str:
    """The message in the fields of an error, which servers nest in different ways."""
    for _ in range(ERROR_DEPTH):
        if not isinstance(fields, dict):
            break
        names = [name for name in ("error", "message", "detail") if fields.get(name)]
        if not names:
            break
        fields = fields[names[0]]
    return shorten(fields)


def describe_error_body(start: bytes) -> str:
    """The message in the body of an error, which may be JSON, an event or text."""
    try:
        fields = json.loads(start.strip().removeprefix(b"data:"))
    except (ValueError, RecursionError):
        return shorten(start)
    return describe_error_fields(fields) if isinstance(fields, dict) else shorten(start)
