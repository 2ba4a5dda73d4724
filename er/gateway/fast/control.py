"""The control plane: health, readiness and metrics, apart from the relaying of tokens."""

import json
from typing import TYPE_CHECKING

from er.errors import ErError
from er.gateway import metrics
from er.gateway.fast import admin, openapi
from er.gateway.fast.heads import plain_answer
from er.gateway.fast.refusal import Refusal
from er.gateway.fast.request import Request
from er.gateway.paths import MODEL

if TYPE_CHECKING:
    from er.gateway.fast.client import Client
    from er.gateway.fast.server import Server

HEALTH = (b"/health", b"/v2/health/live")
READY = (b"/ready", b"/v2/health/ready")
METRICS = b"/metrics"
MODELS = b"/v1/models"
OPENAPI = b"/openapi.json"
PATHS = (*HEALTH, *READY, METRICS, MODELS, OPENAPI)
UNLOGGED = (*HEALTH, *READY, METRICS)  # machines ask for them all the time
ADMIN = b"/admin/"


def handle(server: "Server", client: "Client", request: Request, *, known: bool) -> None:
    """Answer what is no prompt."""
    server.release(request)
    if client.admin and request.head.path.startswith(ADMIN):
        server.spawn(administer(server, client, request))
    elif request.head.path not in PATHS:
        if known:
            refusal = Refusal(405, "not_found", "prompts are sent by POST")
            refusal.extra_headers = b"allow: POST\r\n"
        else:
            refusal = Refusal(404, "not_found", "there is nothing at this path")
        refuse(client, request, refusal)
    elif request.head.method not in (b"GET", b"HEAD"):
        refusal = Refusal(405, "not_found", "this is read by GET")
        refusal.extra_headers = b"allow: GET, HEAD\r\n"
        refuse(client, request, refusal)
    elif request.head.path in HEALTH:
        answer(server, client, request, 200, {"status": "ok"})
    elif request.head.path == OPENAPI:
        answer(server, client, request, 200, openapi.DOCUMENT)
    elif request.head.path == MODELS:
        answer(server, client, request, 200, models(server))
    elif request.head.path == METRICS:
        server.spawn(measure(server, client, request))
    else:
        server.spawn(ready(server, client, request))


async def administer(server: "Server", client: "Client", request: Request) -> None:
    """Carry a command of the administrator's out, here and in the other processes."""
    try:
        admin.require_key(server.admin_keys, request)
        name = request.head.path.removeprefix(ADMIN).decode(errors="replace")
        if request.head.method == b"POST":
            command = admin.parse(name, request.body)
            try:
                await admin.carry_out(server, command)
            except ErError as error:
                raise Refusal(400, "bad_request", str(error)) from None
            if server.commands:
                server.commands.append(command, server.counts.process)
        elif name != "experts":
            raise Refusal(405, "not_found", "commands are sent by POST")
    except Refusal as refusal:
        refuse(client, request, refusal)
        return
    answer(server, client, request, 200, admin.describe(server))


async def measure(server: "Server", client: "Client", request: Request) -> None:
    """All metrics."""
    server.experts.count_usable()
    text = await metrics.exposition(server.counts, server.policy, list(server.experts.replicas))
    headers = extra_headers(request)
    reply(client, request, plain_answer(200, text, metrics.CONTENT_TYPE, headers))


def refuse(client: "Client", request: Request, refusal: Refusal) -> None:
    """Answer with an error."""
    refusal.close = not request.keep_alive
    refusal.head_only = request.head.method == b"HEAD"
    client.refuse_unrouted(refusal, request.head.path, request.identity)


def models(server: "Server") -> dict[str, object]:
    """OpenAI's list of models: this gateway, and what its experts call theirs."""
    names = dict.fromkeys([MODEL, *(replica.model for replica in server.experts.replicas)])
    data = [
        {"id": name, "object": "model", "created": 0, "owned_by": "er"} for name in names if name
    ]
    return {"object": "list", "data": data}


async def ready(server: "Server", client: "Client", request: Request) -> None:
    """200 when every expert answers an inference; else 503, with what is wrong."""
    problems = await server.readiness.problems(server)
    fields: dict[str, object] = {"experts": len(server.experts.clusters), "policy": server.policy}
    if server.draining:
        fields["draining"] = True
    if problems:
        fields["problems"] = problems
    status = 503 if problems or server.draining else 200
    answer(server, client, request, status, fields)


def answer(
    server: "Server", client: "Client", request: Request, status: int, fields: dict[str, object]
) -> None:
    """Answer with JSON."""
    path = request.head.path
    if path not in UNLOGGED:
        server.log_unrouted(client, path, request.identity, status)
    reply(
        client,
        request,
        plain_answer(status, json.dumps(fields).encode(), extra_headers=extra_headers(request)),
    )


def extra_headers(request: Request) -> bytes:
    """Header lines that every answer has."""
    closing = b"" if request.keep_alive else b"connection: close\r\n"
    return b"x-request-id: %b\r\n%b" % (request.identity, closing)


def reply(client: "Client", request: Request, data: bytes) -> None:
    """Send an answer, of which HEAD gets the head."""
    if request.head.method == b"HEAD":
        data = data[: data.index(b"\r\n\r\n") + 4]
    client.send(data)
    client.finish(request.keep_alive)
