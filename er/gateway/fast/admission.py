"""What is checked of a request before an expert is chosen for it."""

from typing import TYPE_CHECKING

from er.gateway.fast.refusal import Refusal
from er.gateway.fast.request import Request

if TYPE_CHECKING:
    from er.gateway.fast.routes import Route
    from er.gateway.fast.server import Server

LARGE_BYTES = 2**18  # a body that is read in steps
BRACKETS_AT_MOST = 2**16  # of a large body: more would delay the others
OPENING = ord("{")


def key_name(server: "Server", request: Request) -> str:
    """The name of the client's API key; empty where none is needed. Raises Refusal."""
    if not server.keys.digests:
        return ""
    header = request.head.header
    name = server.keys.name_of(header(b"authorization"), header(b"x-api-key"))
    if not name:
        raise Refusal(401, "unauthorized", "an API key is needed")
    return name


def require_few_brackets(body: bytes) -> None:
    """Raise Refusal for a large body of many lists and objects, slow to read."""
    import numpy as np

    # The bit that differs between [ and { is set, so that one pass counts both, 5 times as fast as
    # bytes.count does.
    brackets = np.count_nonzero((np.frombuffer(body, np.uint8) | 0x20) == OPENING)
    if brackets > BRACKETS_AT_MOST:
        raise Refusal(413, "too_large", "the body holds too many lists and objects")


def prompt(server: "Server", request: Request, route: "Route") -> str:
    """The text that is classified. Raises Refusal."""
    try:
        text = route.prompt(request.body)
    except ValueError as error:
        raise Refusal(400, "bad_request", str(error)) from None
    if len(text) > server.limits.prompt_bytes:
        raise Refusal(413, "too_large", "the prompt is too long")
    return text
