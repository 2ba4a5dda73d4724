"""Between a client and an expert that speak different dialects: requests one way, answers back.

This is the only place where tokens are read; where the dialects agree, they pass untouched.
"""

import json
from typing import Any, Protocol

import msgspec

from er.gateway.dialects import openai, triton
from er.gateway.dialects.events import Events

DONE = b"data: [DONE]\n\n"


class ExpertError(Exception):
    """The expert reported an error; the text is its own."""


class Translation(Protocol):
    """One request and its answer."""

    action: str  # of the expert's dialect
    body: bytes  # the expert's request
    streams: bool  # whether the client wants events

    def feed(self, piece: bytes) -> bytes:
        """What a piece of the expert's answer is for the client. Raises ExpertError."""

    def end(self) -> bytes:
        """The rest, once the expert's answer is whole. Raises ExpertError."""


class OpenAIFromTriton:
    """An OpenAI client before Triton's generate_stream."""

    action = "generate_stream"

    def __init__(self, body: bytes, *, chat: bool) -> None:
        request = openai.read(body)
        if request.n not in (None, 1):
            raise ValueError("n: this expert gives one answer to a prompt")
        self.streams = bool(request.stream)
        options = request.stream_options
        self._tells_usage = bool(options and options.include_usage)
        self._answer = openai.Answer(request, chat)
        self._events = Events()
        self._texts: list[str] = []
        self._most = request.max_completion_tokens or request.max_tokens or 16
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

    def end(self) -> bytes:
        """See `Translation`."""
        last = b"".join(map(self._event, self._events.close()))
        reason = "length" if len(self._texts) >= self._most else "stop"
        if not self.streams:
            return self._answer.whole("".join(self._texts), len(self._texts), reason)
        last += self._answer.piece(None, reason)
        if self._tells_usage:
            last += self._answer.usage(len(self._texts))
        return last + DONE

    def _event(self, event: bytes) -> bytes:
        fields = _object(event)
        text = fields.get("text_output")
        if text is None:
            return b""
        self._texts.append(str(text))
        return self._answer.piece(str(text)) if self.streams else b""


class TritonFromOpenAI:
    """A client of Triton's generate extension before an OpenAI-compatible expert."""

    action = "completions"

    def __init__(self, body: bytes, model: str, *, streams: bool) -> None:
        try:
            request = json.loads(body)
        except (ValueError, RecursionError):
            raise ValueError("the body is not JSON") from None
        self.streams = streams
        self._model = model
        self._events = Events()
        self._texts: list[str] = []
        names = {
            "max_tokens": "max_tokens", "temperature": "temperature", "top_p": "top_p",
            "random_seed": "seed", "stop_words": "stop",
        }  # fmt: skip
        fields = {to: request[name] for name, to in names.items() if request.get(name) is not None}
        prompt = triton.prompt(body)
        self.body = openai.encode({"model": model, "prompt": prompt, "stream": True} | fields)

    def feed(self, piece: bytes) -> bytes:
        """See `Translation`."""
        return b"".join(map(self._event, self._events.feed(piece)))

    def end(self) -> bytes:
        """See `Translation`."""
        last = b"".join(map(self._event, self._events.close()))
        return last if self.streams else openai.encode(self._fields("".join(self._texts)))

    def _event(self, event: bytes) -> bytes:
        if event.strip() == b"[DONE]":
            return b""
        choices = _object(event).get("choices") or [{}]
        text = choices[0].get("text")
        if not text:
            return b""
        self._texts.append(str(text))
        if not self.streams:
            return b""
        return b"data: " + openai.encode(self._fields(str(text))) + b"\n\n"

    def _fields(self, text: str) -> dict[str, str]:
        return {"model_name": self._model, "model_version": "1", "text_output": text}


def _object(event: bytes) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ExpertError("its event is not JSON") from None
    if not isinstance(fields, dict):
        raise ExpertError("its event is no object")
    if problem := fields.get("error"):
        raise ExpertError(describe_error(problem))
    return fields


def describe_error(problem: Any) -> str:
    """An expert's own words, in one line."""
    if isinstance(problem, dict):
        problem = problem.get("message", problem)
    return " ".join(str(problem).split())[:300]
