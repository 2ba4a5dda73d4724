"""Errors that the gateway answers with itself, in the dialect of the client."""

import json

from er.gateway.dialects.openai import error as openai_error
from er.gateway.fast import heads

OPENAI_PATHS = b"/v1/"


class Refusal(Exception):  # noqa: N818 (an answer, not a fault)
    """An answer of the gateway's own that is an error; `cause` is what it is counted as."""

    def __init__(
        self, status: int, cause: str, message: str, *, retry_s: int = 0, close: bool = False
    ) -> None:
        super().__init__(message)
        self.status, self.cause, self.message = status, cause, message
        self.retry_s, self.close = retry_s, close
        self.openai = False
        self.head_only = False  # the answer to HEAD: a body would be taken for the next answer
        self.extra_headers = b""  # header lines

    def address(self, path: bytes, identity: bytes) -> None:
        """Make it the answer to a request for which no expert was chosen; `path` as far as known:
        OpenAI's object is what more clients read where it is not."""
        self.openai = not path or path.startswith(OPENAI_PATHS)
        self.extra_headers += b"x-request-id: %b\r\n" % identity

    def answer(self, close: bool) -> bytes:
        """The bytes, in the dialect of the client."""
        headers = self.extra_headers
        if self.retry_s:
            headers += b"retry-after: %d\r\n" % self.retry_s
        if close:
            headers += b"connection: close\r\n"
        content = error_content(self.message, self.status, openai=self.openai)
        answer = heads.plain_answer(self.status, content, extra_headers=headers)
        return answer.removesuffix(content) if self.head_only else answer


def error_content(message: str, status: int, *, openai: bool) -> bytes:
    """An error as JSON: Triton's, or OpenAI's."""
    if not openai:
        return json.dumps({"error": message}).encode()
    return json.dumps(openai_error(message, status)).encode()
