"""Read the tokens of an answer from the events of its stream, into its request."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from er.load.answer import (
    OPENAI_END,
    BadAnswerError,
    CutError,
    describe_error_body,
    describe_error_fields,
    replace_surrogates,
    shorten,
)
from er.load.events import EventReader
from er.results.request import Request
from er.results.words import CUT_OFF

HALF = "the stream ended inside an event"
# Fields of generated tokens that are not the answer, as vLLM, SGLang and DeepSeek name them.
THOUGHTS = ("reasoning", "reasoning_content", "tool_calls", "refusal")
COUNT_AT_MOST = (1 << 31) - 1  # of the server's count of tokens; a larger one is not believed
DECODED_TOGETHER = 1 << 18  # bytes: objects of hostile JSON take 20 times its size


def enter_stream(
    reader: EventReader,
    events: list[bytes],
    times_s: list[float],
    request: Request,
    framed: bool,
) -> None:
    """Enter a stream that has ended. Raises as `enter_events`, and for an event named `error`."""
    rest = reader.close()
    if any(event.strip() != OPENAI_END and not _is_json(event) for event in rest):
        with suppress(CutError):
            enter_events(events, times_s, request)
        raise BadAnswerError(HALF)
    last_s = times_s[-1] if times_s else request.end_s
    try:
        enter_events(events + rest, times_s + [last_s] * len(rest), request, framed)
    except BadAnswerError:
        if reader.error is None:
            raise
    if reader.error is not None:
        raise BadAnswerError(f"server error: {describe_error_body(reader.error)}")


def enter_events(
    events: Sequence[bytes], times_s: Sequence[float], request: Request, framed: bool = True
) -> None:
    """Enter events and their times of arrival: every event with a text is one token.

    A text of Triton is empty when the token is part of a character. An empty last text is a token
    only if it is the last of the requested tokens: earlier it means that the model has ended, later
    that the answer has. Empty pieces of OpenAI only open or close a message. Events after [DONE]
    are ignored.

    An answer with fewer tokens than requested is complete only if its end was sent: by OpenAI's
    [DONE] or finish_reason, or by the end of Triton's body that is `framed`, by chunks or a length.
    Otherwise a server that dies would look like a fast one.

    Raises BadAnswerError for an event that is an error of the server or breaks the contract, for an
    answer without tokens, and for one that was cut off; events before the fault are entered.
    """
    end = next((at for at, event in enumerate(events) if event.strip() == OPENAI_END), None)
    if end is not None:
        events, times_s = events[:end], times_s[:end]
    ended = enter_fields(_decode_all(events), times_s, request)
    end_seen = end is not None or (framed if ended is None else ended)
    if request.output_tokens < request.max_tokens and not end_seen:
        raise CutError(CUT_OFF)


def enter_fields(events: Iterable[Any], times_s: Sequence[float], request: Request) -> bool | None:
    """Enter decoded events. Raises as `enter_events`.

    Returns whether OpenAI's finish_reason was sent; None for Triton, which has none.
    """
    texts: list[str] = []
    finished: bool | None = None
    try:
        for fields, time_s in zip(events, times_s, strict=True):
            if not isinstance(fields, dict):
                raise BadAnswerError(f"not an object in an event: {shorten(fields)}")
            if fields.get("error") or fields.get("object") == "error":
                raise BadAnswerError(f"server error: {describe_error_fields(fields)}")
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
                texts.append(text if isinstance(text, str) else shorten(text))
            _enter_counts(fields, request)
        last_is_empty = bool(texts) and not texts[-1] and finished is None
        if last_is_empty and len(texts) != request.max_tokens:
            texts.pop()
            request.token_times_s.pop()
    finally:
        request.text = replace_surrogates("".join(texts))
    if not texts:
        raise CutError("no tokens")
    return finished


def _openai_piece(choices: Any) -> tuple[Any, bool, bool]:
    """Text, kind and end of an event of OpenAI's completions.

    The text is a piece of the answer, or None. The second value is whether the event is a generated
    token of another kind (reasoning, a tool call, a refusal), the third whether it is the last.
    """
    try:
        choice = choices[0]
        piece = choice["delta"] if "delta" in choice else {"content": choice.get("text")}
        text = piece.get("content")
        thought = any(piece.get(name) for name in THOUGHTS)
        ends = bool(choice.get("finish_reason"))
    except (LookupError, TypeError, AttributeError):
        return None, False, False
    return (text or None), thought and not text, ends


def _enter_counts(fields: dict[str, Any], request: Request) -> None:
    """Enter what an event reports besides its text: usage and lateness."""
    if isinstance(fields.get("usage"), dict):
        count = fields["usage"].get("completion_tokens")
        request.usage_tokens = (
            count if isinstance(count, int) and 0 <= count <= COUNT_AT_MOST else -1
        )
    if "token_lateness" in fields:
        late = fields["token_lateness"]
        # Triton writes a list with one value as a plain number.
        values = late if isinstance(late, list) else [late]
        try:
            request.token_lateness = [float(value) for value in values if _is_finite(value)]
        except OverflowError:  # of a large integer
            request.token_lateness = []
        if len(request.token_lateness) != len(values):
            raise BadAnswerError(f"token_lateness is not a number: {shorten(late)}")


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _decode_all(events: Sequence[bytes]) -> Iterator[Any]:
    """The decoded events; many are decoded at once, which is several times faster."""
    together: list[bytes] = []
    size = 0
    for event in events:
        together.append(event)
        size += len(event)
        if size > DECODED_TOGETHER:
            yield from _decode_together(together)
            together, size = [], 0
    yield from _decode_together(together)


def _decode_together(events: Sequence[bytes]) -> Iterable[Any]:
    """The decoded events; one by one if they cannot be decoded as one list."""
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
        raise BadAnswerError(f"not JSON in an event: {shorten(event)}") from error


def _is_json(event: bytes) -> bool:
    try:
        json.loads(event)
    except (ValueError, RecursionError):
        return False
    return True
