"""OpenAI's API: what is read of a request, and how its answers look."""

import re
import time
import uuid
from typing import Any

import msgspec

from er.gateway.paths import MODEL

Parts = list[dict[str, Any]]
TEXTS = ("text", "input_text", "output_text")  # types of parts
TYPE = re.compile("[a-z_]{1,40}")
KINDS_AND_CODES: dict[int, tuple[str, str | None]] = {  # as OpenAI's own API has them
    401: ("invalid_request_error", "invalid_api_key"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
}


class Message(msgspec.Struct):
    """One turn of a chat; `content` is a text or a list of parts."""

    role: str = ""
    content: str | Parts | None = None

    @property
    def text(self) -> str:
        """The text in it; pictures and sounds have none."""
        if isinstance(self.content, list):
            return "\n".join(str(part["text"]) for part in self.content if "text" in part)
        return self.content or ""

    @property
    def wordless(self) -> str:
        """The type of its first part that is no text, such as image_url; empty without any."""
        for part in self.content if isinstance(self.content, list) else ():
            kind = part.get("type", "text")
            if kind not in TEXTS or "text" not in part:
                # Others are not repeated: in a large body they may stand for something else.
                return kind if TYPE.fullmatch(str(kind)) else "part of an unknown type"
        return ""


class StreamOptions(msgspec.Struct):
    """Options of a stream."""

    include_usage: bool = False


class Request(msgspec.Struct):
    """What the gateway reads of a request; where experts speak the same, the rest passes unread."""

    messages: list[Message] | None = None
    prompt: str | list[str | int | list[int]] | None = None
    model: str = ""
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    n: int | None = None

    @property
    def text(self) -> str:
        """What is classified. Raises ValueError when there is none."""
        if self.messages:
            return "\n".join(message.text for message in self.messages)
        if isinstance(self.prompt, str):
            return self.prompt
        if self.prompt and all(isinstance(prompt, str) for prompt in self.prompt):
            return "\n".join(map(str, self.prompt))
        if self.prompt:
            raise ValueError("prompt holds tokens: prompts are routed by their text")
        raise ValueError("prompt is missing or empty")


_decoder = msgspec.json.Decoder(Request)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
encode = msgspec.json.encode


def read(body: bytes) -> Request:
    """A request. Raises ValueError, saying what is wrong, when it is none."""
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("the body is not JSON") from None


def read_chat(body: bytes) -> Request:
    """A request for the next turn of a chat. Raises ValueError as `read` does."""
    request = read(body)
    if not request.messages:
        raise ValueError("messages is missing or empty")
    return request


def read_completion(body: bytes) -> Request:
    """A request for what follows a prompt. Raises ValueError as `read` does."""
    request = read(body)
    request.messages = None  # they are a chat's: no expert gets them
    return request


def with_model(body: bytes, model: str) -> bytes:
    """The same request for a model of another name."""
    fields: dict[str, Any] = _fields.decode(body)
    return encode(fields | {"model": model})


def error(message: str, status: int) -> dict[str, Any]:
    """An error, as its clients read it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    kind, code = KINDS_AND_CODES.get(status, (kind, None))
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


class Answer:
    """Writes one answer, in pieces or whole."""

    def __init__(self, request: Request, chat: bool) -> None:
        self._chat = chat
        self._model = request.model or MODEL
        self._id = ("chatcmpl-" if chat else "cmpl-") + uuid.uuid4().hex
        self._created = int(time.time())
        self._first = True

    def piece(self, text: str | None, finish_reason: str | None = None) -> bytes:
        """One event."""
        if self._chat:
            delta = {"role": "assistant"} if self._first else {}
            if text is not None:
                delta["content"] = text
            choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        else:
            choice = {"index": 0, "text": text or "", "finish_reason": finish_reason}
        self._first = False
        return self._event({"choices": [choice]})

    def usage(self, tokens: int) -> bytes:
        """The last event of those who ask for it. The prompt's tokens are not known here."""
        return self._event({"choices": [], "usage": _usage(tokens)})

    def whole(self, text: str, tokens: int, finish_reason: str) -> bytes:
        """An answer that is no stream."""
        if self._chat:
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": finish_reason}
        else:
            choice = {"index": 0, "text": text, "finish_reason": finish_reason}
        kind = "chat.completion" if self._chat else "text_completion"
        return encode(self._common(kind) | {"choices": [choice], "usage": _usage(tokens)})

    def _event(self, fields: dict[str, Any]) -> bytes:
        kind = "chat.completion.chunk" if self._chat else "text_completion"
        return b"data: " + encode(self._common(kind) | fields) + b"\n\n"

    def _common(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 0, "completion_tokens": tokens, "total_tokens": tokens}
