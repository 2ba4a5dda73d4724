"""What is checked of a request before an expert is chosen for it."""

from typing import TYPE_CHECKING

from er.gateway.fast.refusal import Refusal
from er.gateway.fast.request import Request

if TYPE_CHECKING:
    from er.gateway.fast.routes import Route
    from er.gateway.fast.server import Server

LARGE_BYTES, BRACKETS_AT_MOST = 2**18, 2**16  # reading more would delay the others


def key_name(server: "Server", request: Request) -> str:
    """The name of the client's API key; empty where none is needed. Raises Refusal."""
    if not server.keys.digests:
        return ""
    header = request.head.header
    name = server.keys.name_of(header(b"authorization"), header(b"x-api-key"))
    if not name:
        raise Refusal(401, "unauthorized", "an API key is needed")
    return name


def prompt(server: "Server", request: Request, route: "Route") -> str:
    """The text that is classified. Raises Refusal."""
    body = request.body
    if len(body) > LARGE_BYTES and body.count(b"[") + body.count(b"{") > BRACKETS_AT_MOST:
        raise Refusal(413, "too_large", "the body holds too many lists and objects")
    try:
        text = route.prompt(body)
    except ValueError as error:
        raise Refusal(400, "bad_request", str(error)) from None
    if len(text) > server.limits.prompt_bytes:
        raise Refusal(413, "too_large", "the prompt is too long")
    return text
