"""What is checked of a request before an expert is chosen for it."""

from typing import TYPE_CHECKING

from er.gateway.fast.refusal import Refusal
from er.gateway.fast.request import Request

if TYPE_CHECKING:
    from er.gateway.fast.routes import Prompt, Route
    from er.gateway.fast.server import Server


def key_name(server: "Server", request: Request) -> str:
    """The name of the client's API key. Raises Refusal where it has none."""
    header = request.head.header
    name = server.keys.name_of(header(b"authorization"), header(b"x-api-key"))
    if not name:
        raise Refusal(401, "unauthorized", "an API key is needed")
    return name


def prompt(server: "Server", body: bytes, route: "Route") -> "tuple[Prompt, str]":
    """What is read of a body, and the text that is classified. Raises Refusal."""
    try:
        read = route.read(body)
        text = read.text
    except ValueError as error:
        raise Refusal(400, "bad_request", str(error)) from None
    if len(text) > server.limits.prompt_characters:
        require_short(server, text)
    return read, text


async def require_few_tokens(server: "Server", text: str) -> None:
    """Raise Refusal for a text of more tokens than it may have."""
    limit = server.token_limit
    if limit and not await limit.holds(text):
        raise Refusal(413, "too_large", f"a prompt has {limit.at_most} tokens at most")


def require_short(server: "Server", text: str) -> None:
    """Raise Refusal for a text that is longer than it may be."""
    most = server.limits.prompt_characters
    if len(text) > most:
        raise Refusal(413, "too_large", f"a prompt has {most} characters at most")
