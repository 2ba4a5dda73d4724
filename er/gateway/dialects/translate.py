"""Between a client and an expert that speak different dialects: requests one way, answers back.

This is the only place where tokens are read; where the dialects agree, they pass untouched.
"""

import math
from collections.abc import Iterator
from typing import Any, Protocol

import msgspec

from er.gateway.dialects import openai, triton
from er.gateway.dialects.events import Events
from er.gateway.paths import MODEL
from er.results.words import CUT_OFF

DONE = b"data: [DONE]\n\n"
DEFAULT_TOKENS = 16  # of OpenAI's completions
WORDS = ("error", "message", "detail")  # where errors of all shapes have theirs


class ExpertError(Exception):
    """The expert reported an error; the text is its own."""


class Translation(Protocol):
    """One request and its answer."""

    action: str  # of the expert's dialect
    body: bytes  # the expert's request
    streams: bool  # whether the client wants events

    def feed(self, piece: bytes) -> bytes:
        """What a piece of the expert's answer is for the client. Raises ExpertError."""

    def end(self, *, framed: bool) -> bytes:
        """The rest, once the expert's answer has ended; `framed`: its head said where it would.

        Raises ExpertError, where the answer was cut off too.
        """


class OpenAIFromTriton:
    """An OpenAI client before Triton's generate_stream."""

    action = "generate_stream"

    def __init__(self, request: openai.Request, *, chat: bool) -> None:
        _require_translatable(request)
        self.streams = bool(request.stream)
        options = request.stream_options
        self._tells_usage = bool(options and options.include_usage)
        self._answer = openai.Answer(request, chat)
        self._events = ExpertEvents()
        self._texts: list[str] = []
        self._most = request.max_completion_tokens or request.max_tokens or DEFAULT_TOKENS
        fields = {
            "text_input": request.text,
            "max_tokens": self._most,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "random_seed": request.seed,
            "stop_words": [request.stop] if isinstance(request.stop, str) else request.stop,
        }
        known = {name: value for name, value in fields.items() if value is not None}
        self.body = openai.encode(known | {"stream": True})

    def feed(self, piece: bytes) -> bytes:
        """See `Translation`."""
        return b"".join(map(self._event, self._events.feed(piece)))

    def end(self, *, framed: bool) -> bytes:
        """See `Translation`."""
        last = b"".join(map(self._event, self._events.close()))
        if not self._texts:
            raise ExpertError("its answer has no text_output")
        if not framed and len(self._texts) < self._most:  # Triton's dialect has no word for the end
            raise ExpertError(CUT_OFF)
        reason = "length" if len(self._texts) >= self._most else "stop"
        if not self.streams:
            return self._answer.whole("".join(self._texts), len(self._texts), reason)
        last += self._answer.piece(None, reason)
        if self._tells_usage:
            last += self._answer.usage(len(self._texts))
        return last + DONE

    def _event(self, fields: dict[str, Any]) -> bytes:
        text = fields.get("text_output")
        if text is None and "model_name" in fields:  # Triton's, of another output
            return b""
        if not isinstance(text, str):
            raise ExpertError("its event has no text_output that is a text")
        self._texts.append(text)
        return self._answer.piece(text) if self.streams else b""


class TritonFromOpenAI:
    """A client of Triton's generate extension before an OpenAI-compatible expert."""

    action = "completions"

    def __init__(self, request: triton.Generate, model: str, *, streams: bool) -> None:
        self.streams = streams
        self._model = model
        self._events = ExpertEvents()
        self._texts: list[str] = []
        self._begun = self._finished = False  # a choice has come, a finish_reason has
        self._most = _whole_number(request.max_tokens)
        fields = {
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.random_seed,
            "stop": request.stop_words,
        }
        given = {name: raw for name, raw in fields.items() if _is_given(raw)}
        self.body = openai.encode(
            {"model": model, "prompt": request.text_input, "stream": True} | given
        )

    def feed(self, piece: bytes) -> bytes:
        """See `Translation`."""
        return b"".join(map(self._event, self._events.feed(piece)))

    def end(self, *, framed: bool) -> bytes:
        """See `Translation`."""
        del framed
        last = b"".join(map(self._event, self._events.close()))
        if not (self._events.done or self._finished) and len(self._texts) < self._most:
            raise ExpertError(CUT_OFF)
        if not self._begun:
            raise ExpertError("its answer has no choices")
        return last if self.streams else openai.encode(self._fields("".join(self._texts)))

    def _event(self, fields: dict[str, Any]) -> bytes:
        choices = fields.get("choices")
        if choices == []:  # usage, or what a filter says
            return b""
        try:
            [choice, *_] = choices  # type: ignore[misc]  # caught where it is no list
            text, self._finished = choice.get("text"), bool(choice.get("finish_reason"))
        except (ValueError, TypeError, AttributeError):
            raise ExpertError("its event has no choices of completions") from None
        self._begun = True
        if not isinstance(text, str) and not (text is None and self._finished):
            raise ExpertError("its choice has no text")
        if not text:
            return b""
        self._texts.append(text)
        if not self.streams:
            return b""
        return b"data: " + openai.encode(self._fields(text)) + b"\n\n"

    def _fields(self, text: str) -> dict[str, str]:
        return {"model_name": self._model or MODEL, "model_version": "1", "text_output": text}


class ExpertEvents:
    """The objects in an expert's events, up to its [DONE]."""

    def __init__(self) -> None:
        self._events = Events()
        self.done = False

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Of every event that has ended. Raises ExpertError for an error, or what is no object."""
        return self._objects(self._events.feed(data))

    def close(self) -> Iterator[dict[str, Any]]:
        """Of the last event, which need not end with a blank line. Raises as `feed`."""
        return self._objects(self._events.close())

    def _objects(self, events: list[bytes]) -> Iterator[dict[str, Any]]:
        for event in events:
            self.done = self.done or event.strip() == b"[DONE]"
            if self.done:
                return
            yield _object(event)


def _object(event: bytes) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ExpertError("its event is not JSON") from None
    if not isinstance(fields, dict):
        raise ExpertError("its event is no object")
    if fields.get("error") or fields.get("object") == "error":
        raise ExpertError(describe_error(fields))
    return fields


def describe_error(problem: Any) -> str:
    """An expert's own words, in one line."""
    for _ in range(3):
        if not isinstance(problem, dict):
            break
        problem = next((problem[name] for name in WORDS if problem.get(name)), str(problem))
    return " ".join(str(problem).split())[:300]


def _require_translatable(request: openai.Request) -> None:
    """Raise ValueError for what Triton's generate cannot do, and would do otherwise unnoticed."""
    if request.n not in (None, 1):
        raise ValueError("n: this expert gives one answer to a prompt")
    if isinstance(request.prompt, list) and len(request.prompt) > 1 and not request.messages:
        raise ValueError("prompt: this expert takes one prompt in a request")
    for name in ("max_tokens", "max_completion_tokens"):
        tokens = getattr(request, name)
        if tokens is not None and tokens < 1:
            raise ValueError(f"{name}: this expert gives 1 token or more, not {tokens}")
    for at, message in enumerate(request.messages or []):
        if kind := message.wordless:
            raise ValueError(f"messages[{at}]: this expert takes text only, no {kind}")


def _is_given(raw: msgspec.Raw) -> bool:
    return bytes(raw) not in (b"", b"null")


def _whole_number(raw: msgspec.Raw) -> float:
    """The number that is written there; infinity where it is none."""
    try:
        return int(bytes(raw))
    except ValueError:
        return math.inf
