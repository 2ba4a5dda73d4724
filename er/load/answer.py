"""What a server's answer means: tokens, or the cause of a failure, worded so that it counts."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from er.results.request import Endpoint, Prompt, Request

if TYPE_CHECKING:
    from er.load.events import EventReader

EXPERT_HEADER = "x-er-expert"
EVENT_STREAM = "text/event-stream"
OPENAI_END = b"[DONE]"
NO_END = -1  # an end_id that no model has: its answer ends at max_tokens
MESSAGE_AT_MOST = 200  # characters of a server's own message
ANSWER_AT_MOST = 64 << 20  # bytes
TOO_LONG = f"an answer of more than {ANSWER_AT_MOST >> 20} MiB"
CUT = "the answer was cut off: fewer tokens than asked for, and no end"
HALF = "the stream ended inside an event"
# Generated tokens of chat completions that are no answer, as vLLM, SGLang and DeepSeek name them.
THOUGHTS = ("reasoning", "reasoning_content", "tool_calls", "refusal")


class BadAnswerError(Exception):
    """The server answered, and not with a stream of tokens; the text is the cause."""


class CutError(BadAnswerError):
    """What came is right, and not all of an answer."""


def body(endpoint: Endpoint, prompt: Prompt) -> bytes:
    """What a prompt asks for: as Triton's generate_stream takes it, or OpenAI's completions.

    The dialect follows from the endpoint's path. Unless the prompt lets the model end by itself,
    the answer's length is forced: in Triton's contract by an end token that no model has, as
    TensorRT-LLM does for `ignore_eos`; OpenAI's has no word for it, but vLLM, SGLang and
    trtllm-serve take `ignore_eos`.
    """
    path = urlsplit(endpoint.url).path
    fields: dict[str, object] = {"max_tokens": prompt.output_tokens, "stream": True}
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


def enter(
    events: Sequence[bytes], times_s: Sequence[float], request: Request, framed: bool = True
) -> None:
    """Enter events and when they arrived: every event with a text is one token.

    Triton's text may be empty, where a token is part of a character. An empty last one is a token
    only where it is the last that was asked for: before, it means that the model has ended, and
    after, that the answer has. OpenAI's empty pieces only open or close a message. What comes
    after [DONE] is passed over.

    An answer with fewer tokens than asked for is whole only if its end was sent: by OpenAI's
    [DONE] or finish_reason, in Triton's contract by the end of a body that is `framed`, by chunks
    or a length. Otherwise a server that dies looks like one that is quick.

    Raises BadAnswerError, after what came before it was entered, at an event that is the server's
    error or not of the contract, when there is no token, and when the answer was cut off.
    """
    end = next((at for at, event in enumerate(events) if event.strip() == OPENAI_END), None)
    if end is not None:
        events, times_s = events[:end], times_s[:end]
    ended = enter_fields(_decoded(events), times_s, request)
    end_seen = end is not None or (framed if ended is None else ended)
    if request.output_tokens < request.max_tokens and not end_seen:
        raise CutError(CUT)


def enter_fields(events: Iterable[Any], times_s: Sequence[float], request: Request) -> bool | None:
    """Enter events whose fields are known. Raises as `enter`.

    Returns whether OpenAI's finish_reason was sent; None in Triton's contract, which has none.
    """
    texts: list[str] = []
    finished: bool | None = None
    try:
        for fields, time_s in zip(events, times_s, strict=True):
            if not isinstance(fields, dict):
                raise BadAnswerError(f"not an object in an event: {short(fields)}")
            if fields.get("error") or fields.get("object") == "error":
                raise BadAnswerError(f"server error: {_error_message(fields)}")
            text = fields.get("text_output")
            if text is None and "choices" in fields:
                text, thought, ends = _openai_piece(fields["choices"])
                finished = bool(finished) or ends
                if thought:
                    request.reasoning_tokens += 1
                    request.token_times_s.append(time_s)
                    texts.append("")
            if text is not None:
                request.first_answer_s = request.first_answer_s or time_s
                request.token_times_s.append(time_s)
                texts.append(str(text))
            if isinstance(fields.get("usage"), dict):
                request.usage_tokens = _count(fields["usage"].get("completion_tokens"))
            if "token_lateness" in fields:
                late = fields["token_lateness"]
                # Triton writes a list of one as a plain number.
                request.token_lateness = late if isinstance(late, list) else [late]
        last_is_empty = bool(texts) and not texts[-1] and finished is None
        if last_is_empty and len(texts) != request.max_tokens:
            texts.pop()
            request.token_times_s.pop()
    finally:
        request.text = _encodable("".join(texts))
    if not texts:
        raise CutError("no tokens")
    return finished


def _openai_piece(choices: Any) -> tuple[str | None, bool, bool]:
    """Of an event of OpenAI's completions: the piece of answer, None without one; whether it is a
    generated token of another kind (reasoning, a tool call, a refusal); whether it is the last."""
    try:
        choice = choices[0]
        piece = choice["delta"] if "delta" in choice else {"content": choice.get("text")}
        text = piece.get("content")
        thought = any(piece.get(name) for name in THOUGHTS)
        ends = bool(choice.get("finish_reason"))
    except (LookupError, TypeError, AttributeError):
        return None, False, False
    return (str(text) if text else None), thought and not text, ends


def _count(value: Any) -> int:
    """A count of tokens that a server reports; -1 where it is none."""
    return value if isinstance(value, int) and 0 <= value < 1 << 31 else -1


def refuse(status: int, headers: Mapping[str, str], start: bytes) -> None:
    """Raise BadAnswerError for an answer that is no event stream; `start` begins its body."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise BadAnswerError(f"content encoding {short(encoding)}, though identity was asked for")
    detail = _error_text(start)
    if status != 200:
        place = headers.get("location", "")
        if 300 <= status < 400 and place:
            detail = f"moved to {short(place)}"
        raise BadAnswerError(f"HTTP {status}" + (f": {detail}" if detail else ""))
    kind = content_type(headers)
    if kind != EVENT_STREAM:
        raise BadAnswerError(f"content type {kind or 'missing'} is no event stream: {detail}")


def content_type(headers: Mapping[str, str]) -> str:
    """The type of a body, without parameters; empty where none is given."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def expert(header: str) -> int:
    """Index of the expert that the gateway names; -1 without one."""
    return int(header) if header.isdecimal() else -1


def short(message: object) -> str:
    """A server's message, cut to one line."""
    text = message.decode(errors="replace") if isinstance(message, bytes) else str(message)
    return _encodable(" ".join(text[: 8 * MESSAGE_AT_MOST].split())[:MESSAGE_AT_MOST])


def _encodable(text: str) -> str:
    """Text without halves of surrogate pairs, which JSON can hold and no file."""
    return text.encode(errors="replace").decode()


def _error_message(fields: Any) -> str:
    """The message of an error of any shape."""
    for _ in range(3):
        if not isinstance(fields, dict):
            break
        names = [name for name in ("error", "message", "detail") if fields.get(name)]
        if not names:
            break
        fields = fields[names[0]]
    return short(fields)


def finish(
    reader: "EventReader",
    events: list[bytes],
    times_s: list[float],
    request: Request,
    framed: bool,
) -> None:
    """Enter an event stream that has ended. Raises as `enter`, and for an event named `error`."""
    rest = reader.close()
    if any(event.strip() != OPENAI_END and not _is_json(event) for event in rest):
        with suppress(CutError):
            enter(events, times_s, request)
        raise BadAnswerError(HALF)
    last_s = times_s[-1] if times_s else request.end_s
    try:
        enter(events + rest, times_s + [last_s] * len(rest), request, framed)
    except BadAnswerError:
        if reader.error is None:
            raise
    if reader.error is not None:
        raise BadAnswerError(f"server error: {_error_text(reader.error)}")


def _is_json(event: bytes) -> bool:
    try:
        json.loads(event)
    except (ValueError, RecursionError):
        return False
    return True


def _decoded(events: Sequence[bytes]) -> Iterable[Any]:
    """The JSON of all events: at once, which is several times faster, unless one is broken."""
    try:
        decoded: list[Any] = json.loads(b"[" + b",".join(events) + b"]")
        if len(decoded) == len(events):
            return decoded
    except (ValueError, RecursionError):
        pass
    return map(_decode, events)


def _decode(event: bytes) -> Any:
    try:
        return json.loads(event)
    except (ValueError, RecursionError) as error:
        raise BadAnswerError(f"not JSON in an event: {short(event)}") from error


def _error_text(start: bytes) -> str:
    """The server's own message in an error body, which may be an event."""
    try:
        fields = json.loads(start.strip().removeprefix(b"data:"))
    except (ValueError, RecursionError):
        return short(start)
    return _error_message(fields) if isinstance(fields, dict) else short(start)
